import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownerOf, Slots } from '../../bandwidth/enforce/slots.ts';
import type { Desired } from '../../bandwidth/enforce/types.ts';
import { podClasses } from '../../bandwidth/qdiscs/htb-tree.ts';
import { decided, told, view, wishingPod, type DecideSpec, type PodSpec, type RootName } from './decide-fixture.ts';

const annotation = fc.constantFrom(undefined, '64k', '8M', '1G', '1P', '63k', 'much', '');
const noPlace = fc.constantFrom('host-network', 'foreign-device', 'no-address', 'not-found', 'ambiguous', 'taken');
const root = fc.constantFrom<RootName>(
  'kernel',
  'kernel',
  'ourHtb',
  'tbf',
  'pfifo',
  'wideFq',
  'narrowFq',
  'mqOfFq',
  'mqWithForeignLeaf',
);

const podSpec = (i: number): fc.Arbitrary<PodSpec> =>
  fc
    .record({
      egress: annotation,
      ingress: annotation,
      interfaces: fc.integer({ min: 0, max: 2 }),
      reason: noPlace,
      finished: fc.boolean(),
    })
    .map(({ egress, ingress, interfaces, reason, finished }) => ({
      name: `p${i}`,
      ...(egress === undefined ? {} : { egress }),
      ...(ingress === undefined ? {} : { ingress }),
      ...(finished || interfaces === 0
        ? { finished, place: { found: false, reason: finished ? ('finished' as const) : reason, detail: 'somewhere' } }
        : { at: Array.from({ length: interfaces }, (_, k) => 100 + 2 * i + k) }),
    }));

const spec: fc.Arbitrary<DecideSpec> = fc
  .record({
    pods: fc
      .integer({ min: 0, max: 6 })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => podSpec(i)))),
    uplinks: fc.array(root, { maxLength: 2 }),
    podRoots: fc.array(root, { minLength: 12, maxLength: 12 }),
    fq: fc.boolean(),
    purpose: fc.constantFrom('enforce' as const, 'shadow' as const, 'dry-run' as const),
    slotCount: fc.constantFrom(1, 2, 4, 64),
    neighbour: fc.option(fc.constantFrom(2, 100, 102), { nil: undefined }),
    known: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
  })
  .map(({ podRoots, neighbour, known, ...rest }) => ({
    ...rest,
    roots: Object.fromEntries(podRoots.map((name, i) => [100 + i, name])),
    neighbours: new Map(neighbour === undefined ? [] : [[neighbour, { egress: 'somebody' }]]),
    last: Object.fromEntries(
      known.flatMap((has, i) => (has ? [[`p${i >> 1} ${i % 2 === 0 ? 'egress' : 'ingress'}`, 24_000_000n]] : [])),
    ),
  }));

/** All of a decision but the numbers of slots, which are replaced by their owners, and the order. */
function withoutNumbers(desired: Desired): unknown {
  const owner = new Map(desired.slots.map(({ uid, direction, slot }) => [slot, `${uid} ${direction}`]));
  const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value, bigints)).sort();
  return {
    told: told(desired),
    hooks: sorted(desired.hooks),
    slots: sorted(
      desired.slots.map(({ uid, direction, config: { bulkPriority: _b, sparsePriority: _s, ...config } }) => [
        uid,
        direction,
        config,
      ]),
    ),
    interfaces: sorted(
      [...desired.interfaces].map(([ifindex, { egressSlot, ingressSlot, ...rest }]) => [
        ifindex,
        rest,
        owner.get(egressSlot ?? 0),
        owner.get(ingressSlot ?? 0),
      ]),
    ),
    needs: sorted(
      desired.needs.map((need) =>
        need.mode === 'pace'
          ? [need.ifindex, sorted(need.podRates)]
          : [
              need.ifindex,
              sorted(need.pods.map(({ slot, rateBytesPerSecond }) => [owner.get(slot), rateBytesPerSecond])),
            ],
      ),
    ),
  };
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

const holds = (check: (given: DecideSpec, desired: Desired) => void): void => {
  fc.assert(
    fc.property(spec, (given) => check(given, decided(given))),
    { numRuns: 400 },
  );
};

describe('whatever pods, devices and neighbours there are', () => {
  it('nothing is attached where nothing is wished for', () => {
    holds((given) => {
      const wishless = given.pods.map(({ egress: _e, ingress: _i, ...rest }) => rest);
      const desired = decided({ ...given, pods: wishless, purpose: 'enforce' });
      expect([
        desired.slots.length,
        desired.hooks.length,
        desired.needs.length,
        desired.interfaces.size,
        desired.standings.size,
      ]).toEqual([0, 0, 0, 0, 0]);
    });
  });

  it('each wish is told of, once, and nothing else but what shadow counts', () => {
    holds((given, desired) => {
      const wishes = given.pods
        .filter(({ finished }) => finished !== true)
        .flatMap((pod) =>
          (['egress', 'ingress'] as const)
            .filter(
              (direction) =>
                wishingPod(pod).wishes[direction].kind !== 'none' ||
                (given.purpose === 'shadow' && pod.at !== undefined),
            )
            .map((direction) => `${pod.name} ${direction}`),
        );
      expect(told(desired).map((text) => text.slice(0, text.indexOf(':')))).toEqual(wishes.sort());
    });
  });

  it('every hook has an entry, every entry a hook, and every slot in it a configuration that is of this pod', () => {
    holds((given, desired) => {
      const uplinks = new Set(view(given).uplinks.map(({ ifindex }) => ifindex));
      const hooks = new Set(desired.hooks.map(({ ifindex, role }) => `${ifindex} ${role}`));
      expect(hooks.size).toBe(desired.hooks.length);
      for (const { ifindex, role } of desired.hooks) {
        expect(role === 'leave' ? uplinks.has(ifindex) : desired.interfaces.has(ifindex)).toBe(true);
      }
      const uses = new Map(desired.slots.map((use) => [use.slot, use]));
      expect(uses.size).toBe(desired.slots.length);
      for (const [ifindex, { egressSlot, ingressSlot }] of desired.interfaces) {
        expect(hooks.has(`${ifindex} from_pod`)).toBe(true);
        if (ingressSlot !== undefined) expect(hooks.has(`${ifindex} to_pod`)).toBe(true);
        for (const [slot, direction] of [
          [egressSlot, 'egress'],
          [ingressSlot, 'ingress'],
        ] as const) {
          if (slot === undefined) continue;
          const use = uses.get(slot)!;
          expect(use.direction).toBe(direction);
          expect(given.pods.find(({ name }) => `uid-${name}` === use.uid)!.at).toContain(ifindex);
        }
      }
      // And each slot is in the entry of every interface of its pod.
      for (const { uid, direction, slot } of desired.slots) {
        for (const ifindex of given.pods.find(({ name }) => `uid-${name}` === uid)!.at!) {
          expect(desired.interfaces.get(ifindex)![direction === 'egress' ? 'egressSlot' : 'ingressSlot']).toBe(slot);
        }
      }
    });
  });

  it('the state is that of the slot: what is told is what is set', () => {
    holds((given, desired) => {
      const modes = new Map(desired.slots.map(({ uid, direction, config }) => [`${uid} ${direction}`, config]));
      for (const [uid, of] of desired.standings) {
        for (const [direction, { state, bps, reason, inPart = false }] of Object.entries(of)) {
          const config = modes.get(`${uid} ${direction}`);
          if (state === 'enforced') expect(config).toMatchObject({ mode: 'stamp', shadow: false });
          if (state === 'shaped-htb') expect(config).toMatchObject({ mode: 'htb', shadow: false });
          // Of several uplinks the weakest is told, and the others hold packets back.
          const weakest = inPart ? (given.fq === true ? 'stamp' : 'htb') : 'police';
          if (state === 'policed') expect(config).toMatchObject({ mode: weakest, shadow: false });
          if (inPart) expect(reason).toMatch(/(enforced|shaped-htb) at eth\d, policed at eth\d: /);
          if (state === 'shadow') expect(config).toMatchObject({ shadow: true });
          if (state === 'pending' || state === 'dry-run' || /in charge|slots are taken/.test(reason))
            expect(config).toBeUndefined();
          if (config !== undefined) expect(config.rateBytesPerSecond).toBe((bps ?? 0n) / 8n);
          if (state === 'unsupported' || state === 'policed') expect(reason).not.toBe('');
        }
      }
      if (given.purpose !== 'shadow')
        for (const { config } of desired.slots) expect(config.rateBytesPerSecond).toBeGreaterThan(0n);
    });
  });

  it('qdiscs are wanted of a device once, of one kind, and only where no other root is in the way', () => {
    holds((given, desired) => {
      const devices = new Map(view(given).devices.map((device) => [device.ifindex, device]));
      expect(new Set(desired.needs.map(({ ifindex }) => ifindex)).size).toBe(desired.needs.length);
      for (const need of desired.needs) {
        expect(need.mode).toBe(given.fq === true ? 'pace' : 'shape');
        if (need.mode !== 'shape') continue;
        expect(['noqueue', 'htb']).toContain(devices.get(need.ifindex)!.qdisc);
        for (const { slot, rateBytesPerSecond } of need.pods) {
          const { config } = desired.slots.find((use) => use.slot === slot)!;
          expect(config).toMatchObject({
            mode: 'htb',
            rateBytesPerSecond,
            bulkPriority: podClasses(slot).bulk,
            sparsePriority: podClasses(slot).sparse,
          });
        }
      }
      // HTB without its classes would let everything pass.
      const shaped = new Set(
        desired.needs.flatMap((need) => (need.mode === 'shape' ? need.pods.map(({ slot }) => slot) : [])),
      );
      for (const { slot, config } of desired.slots) expect(shaped.has(slot)).toBe(config.mode === 'htb');
      if (given.purpose !== 'enforce') expect(desired.needs).toEqual([]);
    });
  });

  it('what happens at one uplink changes nothing at the other', () => {
    holds((given) => {
      const one = decided({ ...given, uplinks: ['kernel'], neighbours: new Map() });
      const two = decided({ ...given, uplinks: ['kernel', given.uplinks?.[0] ?? 'tbf'], neighbours: new Map() });
      const at = ({ hooks, needs }: Desired) => [
        hooks.filter(({ ifindex }) => ifindex === 2),
        needs.filter(({ ifindex }) => ifindex === 2),
      ];
      expect(at(two)).toEqual(at(one));
      expect(two.slots).toEqual(one.slots);
    });
  });

  it('the order of pods changes nothing but the numbers of slots', () => {
    const shuffled = spec.chain((given) =>
      fc
        .shuffledSubarray([...given.pods], { minLength: given.pods.length })
        .map((pods) => ({ given: { ...given, slotCount: 64 }, pods })),
    );
    fc.assert(
      fc.property(shuffled, ({ given, pods }) => {
        expect(withoutNumbers(decided({ ...given, pods }))).toEqual(withoutNumbers(decided(given)));
      }),
      { numRuns: 1000 },
    );
  });

  it('decided again, everything stays as it is, also the slots', () => {
    holds((given) => {
      const slots = new Slots(given.slotCount ?? 64);
      const first = decided({ ...given, slots });
      expect(decided({ ...given, slots })).toEqual(first);
    });
  });

  it('a pod that comes or goes leaves the slots of the others as they are', () => {
    holds((given) => {
      const slots = new Slots(given.slotCount ?? 64);
      const before = decided({ ...given, slots });
      const fewer = decided({ ...given, slots, pods: given.pods.slice(1) });
      const slotOf = new Map(before.slots.map(({ uid, direction, slot }) => [ownerOf(uid, direction), slot]));
      for (const { uid, direction, slot } of fewer.slots) {
        const had = slotOf.get(ownerOf(uid, direction));
        if (had !== undefined) expect(slot).toBe(had);
      }
    });
  });

  it('a dry run tells what enforcing would do, and does nothing', () => {
    holds((given) => {
      const dry = decided({ ...given, purpose: 'dry-run' });
      const real = decided({ ...given, purpose: 'enforce' });
      expect([dry.slots.length, dry.hooks.length, dry.needs.length, dry.interfaces.size]).toEqual([0, 0, 0, 0]);
      const would = told(dry).map((text) =>
        text.replace(/dry-run(.*)\(would be ([a-z-]+)(?:; )?/, '$2$1(').replace(' ()', ''),
      );
      expect(would).toEqual(told(real));
    });
  });
});
