import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LimitsOptions } from '../../bandwidth/limits-agent.ts';
import type { LimitRow } from '../../bandwidth/status/report.ts';
import { bpfObjectPath, chainPrograms, loadBpf, openPinnedMap, type BpfObject } from '../../lib/bpf/index.ts';
import { NetlinkSocket, dumpLinks } from '../../lib/netlink/index.ts';
import { buildBpf } from '../support/bpf.ts';
import { until } from '../support/netloom.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import type { Outside, Pod } from './limit-support/pods.ts';
import { UdpStream, sleep } from './limit-support/udp-stream.ts';

/**
 * `netloom agent --detach` after each kind of state, on a node that has things of others everywhere: of ours nothing is left,
 * and all of theirs is as it was.
 */

const TBF = 'tbf rate 1gbit burst 200k latency 25ms';
const POLICY = `bpf da obj ${bpfObjectPath('limit-policy')} sec tc`;
const RATE = 20e6;

let rig: LimitsRig;
let sender: Pod;
let beyond: Outside;
let others: BpfObject | undefined;
beforeAll(buildBpf);
beforeEach(async () => {
  rig = new LimitsRig();
  sender = rig.addPod(1, { egress: '20M', ingress: '20M' });
  rig.addPod(2, { ingress: '20M' });
  rig.addPod(3);
  beyond = rig.node.addSecondUplink();
  // A filter in a clsact qdisc, an empty one, a qdisc on a pod's interface, one on a device that is nobody's, a map in the
  // bpffs beside our folder, and a program behind ours at the uplink.
  rig.node.run(`
    tc qdisc add dev pod2 clsact; tc filter add dev pod2 ingress pref 50 handle 1 protocol all ${POLICY}
    tc qdisc add dev pod3 clsact; tc qdisc add dev pod3 root handle 5: pfifo limit 777
    ip link add theirs0 type ifb; ip link set theirs0 up; tc qdisc add dev theirs0 root handle 8: ${TBF}`);
  others = await loadBpf({
    object: bpfObjectPath('limit-probes'),
    pins: { dir: rig.bpffs, maps: ['seen'] },
  });
  const probes = others;
  rig.node.inside(() => probes.program('empty').attachTcx(rig.outside.ifindex, 'egress', { kind: 'tcx' }));
});
afterEach(async () => {
  others?.close();
  others = undefined;
  await rig.remove();
});

/** All that is in the node's network namespace and on the bpffs, but for ids of links and counters. */
function everything(): string[] {
  const devices = rig.node.inside(() => {
    using socket = Object.assign(new NetlinkSocket(), { [Symbol.dispose]: () => socket.close() });
    return dumpLinks(socket).map(({ ifindex, name, kind = '-', master = 0 }) => {
      const chains = (['ingress', 'egress'] as const).map((point) =>
        (chainPrograms(ifindex, point) ?? []).map(({ id, name: program = '' }) => `${id} ${program}`).join(),
      );
      return `${ifindex} ${name} ${kind} ${master} [${chains.join('] [')}]`;
    });
  });
  const pinned = readdirSync(rig.bpffs, { recursive: true }).map(String).sort();
  return [...devices, ...rig.tc().split('\n'), ...pinned.map((name) => `bpffs ${name}`)];
}

interface Case {
  readonly name: string;
  readonly before?: string;
  readonly options: Partial<LimitsOptions>;
  readonly state: LimitRow['state'];
  readonly reason?: string;
  /** While the agent runs. */
  readonly during?: string;
  /** Pins that are there then. */
  readonly links: number;
}

const uplinksOf = (...leaving: string[]): number => leaving.length;
const PODS = { enforce: 3 + 2, shadow: 3 * 2 };

const CASES: Case[] = [
  {
    name: 'HTB at two uplinks',
    options: {},
    state: 'shaped-htb',
    reason: '',
    links: PODS.enforce + uplinksOf('eth0', 'eth1'),
  },
  {
    name: "HTB at one uplink, another's qdisc at the other",
    before: `tc qdisc add dev eth1 root handle 7: ${TBF}`,
    options: {},
    state: 'policed',
    reason: "shaped-htb at eth0, policed at eth1: tbf 7: at root on eth1 is another's",
    links: PODS.enforce + uplinksOf('eth0'),
  },
  {
    name: "others' qdiscs at all uplinks",
    before: `tc qdisc add dev eth0 root handle 6: pfifo limit 99; tc qdisc add dev eth1 root handle 7: ${TBF}`,
    options: {},
    state: 'policed',
    reason: "pfifo 6: at root on eth0 is another's; tbf 7: at root on eth1 is another's",
    links: PODS.enforce,
  },
  {
    name: "others' qdiscs that came in the place of ours",
    options: {},
    state: 'shaped-htb',
    during: `tc qdisc replace dev eth1 root handle 7: ${TBF}; tc qdisc replace dev pod2 root handle 9: pfifo limit 55`,
    links: PODS.enforce + uplinksOf('eth0'),
  },
  { name: 'no uplink that is there', options: { uplinks: ['eth9'] }, state: 'policed', links: PODS.enforce },
  { name: 'filters of clsact', options: { hooks: 'clsact' }, state: 'shaped-htb', reason: '', links: 0 },
  {
    name: "filters of clsact, one of others' at each of the devices",
    options: { hooks: 'clsact' },
    state: 'shaped-htb',
    during: ['pod1', 'eth0', 'eth1']
      .map((device) => `tc filter add dev ${device} egress pref 60 handle 7 protocol all ${POLICY}`)
      .join('; '),
    links: 0,
  },
  { name: 'shadow', options: { purpose: 'shadow' }, state: 'shadow', links: PODS.shadow },
  { name: 'shadow by filters of clsact', options: { purpose: 'shadow', hooks: 'clsact' }, state: 'shadow', links: 0 },
  { name: 'a dry run', options: { purpose: 'dry-run' }, state: 'dry-run', links: 0 },
];

/** Either way the agent leaves it all in force. */
const SIGNALS = ['SIGTERM', 'SIGKILL'] as const;

describe('nothing of ours is left, and nothing of others has changed, after', () => {
  it.each(CASES.map((one, i) => ({ ...one, signal: SIGNALS[i % 2]! })))(
    '$name ($signal)',
    async ({ signal, ...one }) => {
      if (one.before !== undefined) rig.node.run(one.before);
      const before = everything();
      rig.publish();
      const agent = rig.startChild(one.options);
      await rig.stands('p1', 'egress', {
        state: one.state,
        configuredBps: RATE,
        ...(one.reason === undefined ? {} : { reason: one.reason }),
      });
      await rig.settles();
      if (one.during !== undefined) rig.node.run(one.during);
      await until('as many links are there', () => rig.links().length === one.links);
      await rig.settles();
      expect(rig.links()).toHaveLength(one.links);
      rig.note();
      // There is something in the queues and clocks.
      const streams = [
        await UdpStream.start(sender, rig.outside, RATE),
        await UdpStream.start(sender, beyond, RATE, 6001),
      ];
      await sleep(300);
      await agent.end(signal);
      const ended = await rig.detach();
      for (const stream of streams) await stream.stop();
      expect(ended).toMatchObject({ status: 0, stderr: '' });

      const after = everything();
      if (one.during === undefined) expect(after).toEqual(before);
      else expect(after.filter((line) => /4e4c|0x4e4c|from_pod|to_pod|leave|netloom/.test(line))).toEqual([]);
      expect(await rig.leftInKernel()).toEqual([]);
      expect(existsSync(rig.pins)).toBe(false);
      expect(existsSync(rig.state)).toBe(false);
      const seen = openPinnedMap(join(rig.bpffs, 'seen'), { readOnly: true });
      expect(seen.id).toBe(others!.map('seen').id);
      seen.close();
      if (one.during === undefined) return;
      // What came meanwhile is still there: once its owner takes it away all is as before.
      for (const undo of undoes(one.during)) rig.node.run(undo);
      expect(everything().filter((line) => !line.includes('clsact'))).toEqual(
        before.filter((line) => !line.includes('clsact')),
      );
    },
  );
});

/** The commands that take back what these did; they fail where it is not there any more. */
function undoes(commands: string): string[] {
  return commands
    .split('; ')
    .map((command) =>
      command
        .replace(/tc qdisc replace dev (\S+) root .*/, 'tc qdisc del dev $1 root')
        .replace(/tc filter add dev (\S+) egress pref 60 .*/, 'tc filter del dev $1 egress pref 60'),
    );
}
