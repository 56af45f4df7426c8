import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LIMIT_CONFIG, LIMIT_INTERFACE, LIMIT_OWNER } from '../../bandwidth/bpf/layout.ts';
import { placesLeft } from '../../bandwidth/enforce/look.ts';
import { ownerOf } from '../../bandwidth/enforce/slots.ts';
import { copyLeft, readLeft, slotKey, type LimitMaps } from '../../bandwidth/kernel/left.ts';
import { PINNED_MAPS } from '../../bandwidth/kernel/pins.ts';
import { encodeInterface, type InterfaceEntry } from '../../bandwidth/slot-config.ts';
import type { BpfMap } from '../../lib/bpf/index.ts';
import { network, veth } from '../interfaces/fixture.ts';
import { wishingPod } from './decide-fixture.ts';

/** Maps in memory with as many slots, as far as they are used here. */
function fakeMaps(slots: number): LimitMaps {
  const sizes: Readonly<Record<string, number>> = {
    limit_owner: LIMIT_OWNER.size,
    limit_config: LIMIT_CONFIG.size,
    limit_interfaces: LIMIT_INTERFACE.size,
  };
  const maps = new Map<string, BpfMap>();
  for (const name of PINNED_MAPS) {
    const values = new Map<number, Uint8Array>();
    const isArray = name !== 'limit_interfaces';
    const at = (key: Uint8Array): number => new DataView(key.buffer, key.byteOffset).getUint32(0, true);
    const size = sizes[name] ?? 8;
    const fake: Partial<BpfMap> = {
      maxEntries: slots,
      lookup: (key) => values.get(at(key)) ?? (isArray ? new Uint8Array(size) : undefined),
      update: (key, value) => {
        if (isArray && at(key) >= slots) throw new Error(`slot ${at(key)} of ${slots}`);
        values.set(at(key), value);
      },
      readAll: (visit) => {
        const keys = isArray ? Array.from({ length: slots }, (_, slot) => slot) : [...values.keys()];
        const [keyBytes, valueBytes] = [new Uint8Array(4 * keys.length), new Uint8Array(size * keys.length)];
        for (const [i, key] of keys.entries()) {
          keyBytes.set(slotKey(key), 4 * i);
          valueBytes.set(values.get(key) ?? new Uint8Array(size), size * i);
        }
        visit(new DataView(keyBytes.buffer), new DataView(valueBytes.buffer), keys.length);
        return Promise.resolve(keys.length);
      },
    };
    maps.set(name, fake as BpfMap);
  }
  return (name) => maps.get(name)!;
}

const uidOf = (pod: number): string => `uid-p${pod}`;
const interfaceOf = (pod: number): number => 100 + pod;

/** Slots of pods 0, 1, ...: none, of what they send, of what they receive, or both. */
function fill(maps: LimitMaps, pods: readonly { egress?: number | undefined; ingress?: number | undefined }[]): void {
  for (const [pod, { egress, ingress }] of pods.entries()) {
    for (const [direction, slot] of [
      ['egress', egress],
      ['ingress', ingress],
    ] as const) {
      if (slot !== undefined)
        maps('limit_owner').update(slotKey(slot), Buffer.from(ownerOf(uidOf(pod), direction), 'hex'));
    }
    const entry: InterfaceEntry = {
      ...(egress === undefined ? {} : { egressSlot: egress }),
      ...(ingress === undefined ? {} : { ingressSlot: ingress }),
    };
    maps('limit_interfaces').update(slotKey(interfaceOf(pod)), encodeInterface(entry));
  }
}

const wanted = fc.array(fc.record({ egress: fc.boolean(), ingress: fc.boolean() }), { maxLength: 24 });

it('of maps with another number of slots nothing becomes that of another pod, neither a slot nor an interface', async () => {
  await fc.assert(
    fc.asyncProperty(
      wanted,
      fc.integer({ min: 2, max: 64 }),
      fc.integer(),
      fc.integer({ min: 0, max: 8 }),
      async (pods, toSlots, seed, knownPods) => {
        // Slots in any order.
        const numbers = Array.from({ length: 48 }, (_, i) => i + 1).sort(
          (a, b) => ((a * 7919 + seed) % 53) - ((b * 7919 + seed) % 53) || a - b,
        );
        const given = pods.map(({ egress, ingress }) => ({
          egress: egress ? numbers.pop() : undefined,
          ingress: ingress ? numbers.pop() : undefined,
        }));
        const [from, to] = [fakeMaps(64), fakeMaps(toSlots)];
        fill(from, given);
        // Some are there already, in slots of their own.
        let next = 1;
        const already = given.slice(0, knownPods).map(({ egress, ingress }) => ({
          egress: egress !== undefined && next < toSlots ? next++ : undefined,
          ingress: ingress !== undefined && next < toSlots ? next++ : undefined,
        }));
        fill(to, already);
        const left = await copyLeft(from, to, await readLeft(to), true);

        const now = await readLeft(to);
        const ownerAt = new Map(now.slots.map(({ slot, owner }) => [slot, owner]));
        expect(new Set(ownerAt.values()).size).toBe(now.slots.length);
        for (const [ifindex, { entry }] of now.interfaces) {
          const uid = uidOf(ifindex - 100);
          if (entry.egressSlot !== undefined) expect(ownerAt.get(entry.egressSlot)).toBe(ownerOf(uid, 'egress'));
          if (entry.ingressSlot !== undefined) expect(ownerAt.get(entry.ingressSlot)).toBe(ownerOf(uid, 'ingress'));
        }
        for (const { slot, owner } of left.slots) if (slot !== undefined) expect(ownerAt.get(slot)).toBe(owner);

        // The places of pods: each has its own interface or none is known, whether or not its slots found a place.
        const told = pods.map((_, pod) => wishingPod({ name: `p${pod}` }));
        const links = pods.map((_, pod) => veth(interfaceOf(pod), pod));
        for (const one of [left, await readLeft(from), now]) {
          const places = placesLeft(one, network({ links }), told);
          for (const [uid, devices] of places) {
            expect(devices.map(({ ifindex }) => uidOf(ifindex - 100))).toEqual([uid]);
          }
        }
        const places = placesLeft(left, network({ links }), told);
        const held = given.flatMap(({ egress, ingress }, pod) =>
          (egress ?? ingress) === undefined ? [] : [uidOf(pod)],
        );
        expect([...places.keys()].sort()).toEqual(held.sort());
      },
    ),
    { numRuns: 300 },
  );
});
