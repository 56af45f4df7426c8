import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chainPrograms } from '../../lib/bpf/tc-chain.ts';
import { inNetns, loadBpf, bpfObjectPath } from '../../lib/bpf/index.ts';
import { dumpFilters } from '../../lib/netlink/filters.ts';
import { deleteHtbClass, dumpHtbClasses, replaceHtbClass } from '../../lib/netlink/htb-classes.ts';
import { getLink } from '../../lib/netlink/links.ts';
import {
  addQdisc,
  changeQdisc,
  deleteQdisc,
  dumpQdiscs,
  kernelHasFq,
  replaceQdisc,
  type Qdisc,
} from '../../lib/netlink/qdiscs.ts';
import { TC_CLSACT_HANDLE, TC_CLSACT_PARENT, TC_ROOT, formatTcHandle, tcHandle } from '../../lib/netlink/tc-message.ts';
import { buildBpf } from '../support/bpf.ts';
import { makeZoo, type Zoo } from './netlink-support/zoo.ts';

let zoo: Zoo;
let ifindex: number;
const handle = tcHandle(0x4e4c);
const root = (): { ifindex: number; parent: number; handle: number } => ({ ifindex, parent: TC_ROOT, handle });

beforeAll(() => {
  zoo = makeZoo();
  ifindex = getLink(zoo.socket, 'zveth0')!.ifindex;
});
afterAll(() => zoo?.remove());

const qdiscsOf = (device: number): Qdisc[] => dumpQdiscs(zoo.socket).filter((qdisc) => qdisc.ifindex === device);
const rootOf = (device: number): Qdisc | undefined => qdiscsOf(device).find((qdisc) => qdisc.parent === TC_ROOT);

describe('qdiscs', () => {
  it('are read as `tc -j` shows them', () => {
    zoo.sh(`
      tc qdisc add dev zifb0 root handle 77: htb default 3; tc class add dev zifb0 parent 77: classid 77:3 htb rate 8mbit
      tc qdisc add dev zifb0 parent 77:3 handle 78: pfifo limit 33
      tc qdisc add dev zmac0 root tbf rate 10mbit burst 20k latency 25ms; tc qdisc add dev zbr0 clsact
      tc qdisc add dev zvx0 ingress; tc qdisc add dev zveth1 root handle 5: mq || :
    `);
    const names = new Map(zoo.json('ip -j link').map((link) => [link['ifindex'], link['ifname']]));
    const ours = dumpQdiscs(zoo.socket).map((q) => {
      const parent = q.parent === TC_CLSACT_PARENT ? 'ffff:fff1' : formatTcHandle(q.parent);
      return `${String(names.get(q.ifindex))} ${q.kind} ${formatTcHandle(q.handle)} ${parent} ${q.stats.drops}`;
    });
    const theirs = zoo.json('tc -s -j qdisc').map((q) => {
      const place = q['root'] === true ? 'root' : String(q['parent']).replace(/^:/, '0:');
      const dev = String(q['dev']);
      return `${dev} ${String(q['kind'])} ${String(q['handle'])} ${place} ${Number(q['drops'])}`;
    });
    expect(ours.sort()).toEqual(theirs.sort());
    const found = (name: string) => qdiscsOf([...names].find(([, n]) => n === name)![0] as number);
    expect(found('zifb0').map((q) => q.options)).toEqual([
      { kind: 'htb', defaultMinor: 3, directPackets: 0 },
      { kind: 'pfifo', limit: 33 },
    ]);
    // limit = 25 ms at 10 Mbit/s + burst.
    expect(found('zmac0')[0]!.options).toEqual({
      kind: 'tbf',
      rateBytesPerSecond: 1_250_000n,
      limitBytes: 31_250 + 20_480,
      burstBytes: 20_480,
    });
  });

  it('of a device that was never up are told by the device only', () => {
    const down = getLink(zoo.socket, 'zifb0')!;
    expect(down.up).toBe(false);
    zoo.sh('tc qdisc del dev zifb0 root');
    expect(rootOf(down.ifindex)).toBeUndefined();
    expect(getLink(zoo.socket, 'zifb0')!.qdisc).toBe('noop');
  });

  it('that the kernel does not have are an outcome with the name of the module, and change nothing', () => {
    const before = rootOf(ifindex);
    const outcome = addQdisc(zoo.socket, root(), { kind: 'fq', limit: 40_000, flowLimit: 4000, orphanMask: 65_535 });
    if (outcome.outcome === 'done') {
      expect(rootOf(ifindex)!.options).toMatchObject({
        kind: 'fq',
        limit: 40_000,
        flowLimit: 4000,
        orphanMask: 65_535,
      });
      expect(rootOf(ifindex)!.fqStats!.flowsPlimit).toBe(0n);
      expect(deleteQdisc(zoo.socket, root())).toEqual({ outcome: 'done' });
    } else {
      expect(outcome).toEqual({ outcome: 'kind-unknown', kind: 'fq', module: 'sch_fq' });
    }
    expect(rootOf(ifindex)).toMatchObject({ handle: 0, kind: before!.kind });
  });

  it('are looked for without a change to any device', () => {
    const before = dumpQdiscs(zoo.socket).map(({ ifindex: device, handle: h, kind }) => [device, h, kind]);
    const can = addQdisc(zoo.socket, root(), { kind: 'fq' }).outcome === 'done';
    if (can) deleteQdisc(zoo.socket, root());
    expect(kernelHasFq(zoo.socket)).toBe(can);
    expect(dumpQdiscs(zoo.socket).map(({ ifindex: device, handle: h, kind }) => [device, h, kind])).toEqual(before);
  });

  it('are added only over the default of the kernel, changed and deleted only under their own handle', () => {
    const before = rootOf(ifindex)!;
    const htb = { kind: 'htb', defaultMinor: 0 } as const;
    expect(before.handle).toBe(0);
    expect(changeQdisc(zoo.socket, root(), htb).outcome).toBe('absent');
    expect(addQdisc(zoo.socket, root(), htb)).toEqual({ outcome: 'done' });
    expect(rootOf(ifindex)).toMatchObject({ handle, kind: 'htb' });
    expect(addQdisc(zoo.socket, root(), htb).outcome).toBe('occupied');
    const foreign = { ...root(), handle: tcHandle(0x1234) };
    expect(addQdisc(zoo.socket, foreign, htb).outcome).toBe('occupied');
    expect(changeQdisc(zoo.socket, foreign, htb).outcome).toBe('absent');
    expect(deleteQdisc(zoo.socket, foreign).outcome).toBe('absent');
    expect(rootOf(ifindex)).toMatchObject({ handle, kind: 'htb' });
    expect(deleteQdisc(zoo.socket, root())).toEqual({ outcome: 'done' });
    expect(rootOf(ifindex)).toMatchObject({ handle: 0, kind: before.kind });
    expect(deleteQdisc(zoo.socket, root()).outcome).toBe('absent');
  });

  it('of a foreign kind are never touched by adding, changing or deleting', () => {
    zoo.sh('tc qdisc add dev zveth0 root handle 8001: tbf rate 10mbit burst 20k latency 25ms');
    const before = rootOf(ifindex)!;
    const htb = { kind: 'htb', defaultMinor: 0 } as const;
    expect(addQdisc(zoo.socket, root(), htb).outcome).toBe('occupied');
    expect(changeQdisc(zoo.socket, root(), htb).outcome).toBe('absent');
    expect(deleteQdisc(zoo.socket, root()).outcome).toBe('absent');
    expect(rootOf(ifindex)).toEqual(before);
    zoo.sh('tc qdisc del dev zveth0 root');
  });

  it('of a device with several queues are made for each of them, and go with their root', () => {
    expect(getLink(zoo.socket, ifindex)!.txQueues).toBe(4);
    expect(addQdisc(zoo.socket, root(), { kind: 'mq' })).toEqual({ outcome: 'done' });
    for (let queue = 1; queue <= 4; queue++) {
      const place = { ifindex, parent: tcHandle(0x4e4c, queue), handle: tcHandle(0x4e4c + queue) };
      expect(replaceQdisc(zoo.socket, place, { kind: 'pfifo', limit: 40 + queue })).toEqual({ outcome: 'done' });
    }
    const leaves = qdiscsOf(ifindex).filter((qdisc) => qdisc.parent !== TC_ROOT);
    leaves.sort((a, b) => a.parent - b.parent);
    expect(leaves.map((q) => q.options)).toEqual([41, 42, 43, 44].map((limit) => ({ kind: 'pfifo', limit })));
    expect(deleteQdisc(zoo.socket, root())).toEqual({ outcome: 'done' });
    expect(qdiscsOf(ifindex).map((q) => q.handle)).toEqual([0]);
  });

  it('of a device that is gone are absent', () => {
    const place = { ...root(), ifindex: 99_999 };
    expect(addQdisc(zoo.socket, place, { kind: 'htb', defaultMinor: 0 }).outcome).toBe('absent');
    expect(deleteQdisc(zoo.socket, place).outcome).toBe('absent');
  });
});

describe('htb classes', () => {
  it('are made, changed, read as `tc -j` shows them, and deleted', () => {
    expect(addQdisc(zoo.socket, root(), { kind: 'htb', defaultMinor: 0 })).toEqual({ outcome: 'done' });
    const settings = {
      rateBytesPerSecond: 2_500_000n,
      ceilBytesPerSecond: 2_500_000n,
      burstBytes: 10_240,
      ceilBurstBytes: 10_240,
      quantumBytes: 3000,
      priority: 1,
    };
    const at = (minor: number, parent = 0) => ({
      ifindex,
      classId: tcHandle(0x4e4c, minor),
      parent: tcHandle(0x4e4c, parent),
    });
    expect(replaceHtbClass(zoo.socket, at(1), settings)).toEqual({ outcome: 'done' });
    expect(replaceHtbClass(zoo.socket, at(2, 1), settings)).toEqual({ outcome: 'done' });
    const fast = { ...settings, rateBytesPerSecond: 12_500_000_000n, ceilBytesPerSecond: 12_500_000_000n };
    expect(replaceHtbClass(zoo.socket, at(3, 1), { ...fast, burstBytes: 1 << 20, ceilBurstBytes: 1 << 20 })).toEqual({
      outcome: 'done',
    });
    expect(replaceHtbClass(zoo.socket, at(2, 1), { ...settings, rateBytesPerSecond: 1_250_000n })).toEqual({
      outcome: 'done',
    });
    expect(replaceHtbClass(zoo.socket, { ...at(9), ifindex: 99_999 }, settings).outcome).toBe('absent');

    const ours = new Map(dumpHtbClasses(zoo.socket, ifindex).map((c) => [formatTcHandle(c.classId), c]));
    expect([...ours.keys()].sort()).toEqual(['4e4c:1', '4e4c:2', '4e4c:3']);
    expect(ours.get('4e4c:2')!.settings).toEqual({ ...settings, rateBytesPerSecond: 1_250_000n });
    expect(ours.get('4e4c:3')!.settings.rateBytesPerSecond).toBe(12_500_000_000n);
    const text = zoo.sh('tc class show dev zveth0');
    expect(text).toMatch(/class htb 4e4c:2 parent 4e4c:1 .*prio 1 .*rate 10Mbit ceil 20Mbit burst 10Kb cburst 10Kb/);
    expect(text).toMatch(/class htb 4e4c:3 parent 4e4c:1 .*rate 100Gbit ceil 100Gbit/);

    expect(deleteHtbClass(zoo.socket, at(2, 1))).toEqual({ outcome: 'done' });
    expect(deleteHtbClass(zoo.socket, at(2, 1)).outcome).toBe('absent');
    expect(dumpHtbClasses(zoo.socket, ifindex)).toHaveLength(2);
    deleteQdisc(zoo.socket, root());
    expect(dumpHtbClasses(zoo.socket, ifindex)).toEqual([]);
  });
});

describe('filters and chains', () => {
  it('are read in the order in which they run, with the programs in them', async () => {
    buildBpf();
    const object = await loadBpf({ object: bpfObjectPath('test-maps') });
    try {
      inNetns(zoo.netnsFd, () => {
        expect(chainPrograms(ifindex, 'ingress')).toEqual([]);
        const program = object.program('count_packets');
        program.attachTcx(ifindex, 'ingress', { kind: 'tcx' });
        program.attachTcx(ifindex, 'ingress', { kind: 'clsact' });
        zoo.sh('tc filter add dev zveth0 ingress prio 7 protocol ip u32 match u32 0 0 classid 1:1');
        zoo.sh('tc filter add dev zveth0 egress prio 3 protocol all u32 match u32 0 0 classid 1:1');
        expect(chainPrograms(ifindex, 'ingress')).toEqual([{ id: program.id, name: 'count_packets' }]);
        expect(chainPrograms(ifindex, 'egress')).toEqual([]);
        expect(chainPrograms(99_999, 'egress')).toBeUndefined();
        const [first, second, ...rest] = dumpFilters(zoo.socket, ifindex, 'ingress');
        expect(first).toMatchObject({ kind: 'bpf', priority: 1, chain: 0, bpf: { programId: program.id } });
        expect(first!.bpf!.directAction).toBe(true);
        expect(second).toMatchObject({ kind: 'u32', priority: 7, protocol: 0x0800 });
        expect(rest.every((f) => f.kind === 'u32' && f.priority === 7 && f.bpf === undefined)).toBe(true);
        const egress = dumpFilters(zoo.socket, ifindex, 'egress');
        expect(new Set(egress.map((f) => `${f.kind} ${f.priority} ${f.protocol}`))).toEqual(new Set(['u32 3 3']));
      });
    } finally {
      object.close();
    }
    expect(dumpFilters(zoo.socket, getLink(zoo.socket, 'zveth1')!.ifindex, 'ingress')).toEqual([]);
  });

  it('hang on a clsact qdisc that is added once', () => {
    const device = getLink(zoo.socket, 'zveth1')!.ifindex;
    const clsact = { ifindex: device, parent: TC_CLSACT_PARENT, handle: TC_CLSACT_HANDLE };
    expect(addQdisc(zoo.socket, clsact, { kind: 'clsact' })).toEqual({ outcome: 'done' });
    expect(addQdisc(zoo.socket, clsact, { kind: 'clsact' }).outcome).toBe('occupied');
    expect(qdiscsOf(device).map((q) => q.options.kind)).toContain('clsact');
    expect(deleteQdisc(zoo.socket, clsact)).toEqual({ outcome: 'done' });
    expect(qdiscsOf(device).map((q) => q.options.kind)).not.toContain('clsact');
  });
});
