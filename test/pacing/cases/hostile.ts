import { bpfObjectPath, loadBpf } from '../../../lib/bpf/index.ts';
import { UDP_FRAME, UDP_PAYLOAD, growth, mbit, type Bench } from '../guest/bench.ts';
import type { Hooks } from '../guest/limits.ts';
import { SLOW_LINK_MBIT, addressOf, ifindexOf, run } from '../guest/topology.ts';
import { ALL_KERNELS, NONE, about, atLeast, type Case, type Figures } from './case.ts';

const LIMIT = 20;
const UDP_GOODPUT = about((LIMIT * UDP_PAYLOAD) / UDP_FRAME[4], 0.005);

/** Case 28, as far as the pod's program goes: departure times of the pod's own are not honoured. */
const DEPARTURES: readonly Case[] = [
  {
    id: '28-flood-of-departures',
    number: 28,
    what: 'a pod that stamps its packets 8 s ahead does not stop the others',
    kernels: ALL_KERNELS,
    shift: 0,
    measure: async (bench) => {
      bench.useSlowLink();
      await bench.limit({ pod3: { egress: LIMIT } });
      const { told, seconds, figures } = await bench.measure({ fromMs: 1000, untilMs: 2000 }, [
        { kind: 'sink', netns: 'far', port: 4000 },
        { kind: 'sink', netns: 'far', port: 4001, proto: 'udp' },
        { kind: 'txtime', netns: 'pod1', to: addressOf('far', 4), port: 4001, kbps: 2400, size: 18, ahead_ms: 8000 },
        { kind: 'bulk', netns: 'pod2', to: addressOf('far', 4), port: 4000, flows: 4 },
      ]);
      const victim = (mbit(Number(told[0]!['bytes']), seconds) * 1514) / 1448;
      return {
        victimPercent: (100 * victim) / SLOW_LINK_MBIT,
        floodMbit: mbit(Number(told[1]!['bytes']), seconds),
        ...figures,
      };
    },
    expected: { victimPercent: atLeast(85), floodMbit: about(2.4, 0.05), fqDropped: NONE },
  },
  {
    id: '28-limited-departures',
    number: 28,
    what: 'a limited pod that stamps its packets 8 s ahead gets its limit',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: async (bench) => {
      await bench.limit({ pod1: { egress: LIMIT } });
      const before = bench.limits.stat('pod1', 'egress');
      const figures = await bench.udp({ from: 'pod1', to: 'world', offeredMbit: 30, aheadMs: 8000 });
      const { stampsCleared } = growth(before, bench.limits.stat('pod1', 'egress'));
      return { ...figures, stampsCleared: stampsCleared! };
    },
    // Before Linux 6.10 the stamps of datagrams are lost on the way out of the pod already.
    expected: { goodputMbit: UDP_GOODPUT, fqDropped: NONE },
  },
];

const BLOCKED_PORT = 9999;

/** A policy that drops UDP to one port, behind ours on pod1. */
async function policyBehind(bench: Bench, ours: Hooks, policy: Hooks): Promise<Figures> {
  await bench.limits.takeAway();
  const ownChoice = bench.limits.report.kernel.hooks ?? ours;
  if (ours !== ownChoice) await bench.limits.reopen(ours);
  const object = await loadBpf({ object: bpfObjectPath('limit-policy') });
  try {
    // The product goes to the front of a chain, so this one comes to stand behind it.
    if (policy === 'tcx') object.program('policy').attachTcx(ifindexOf('pod1'), 'ingress', { kind: 'tcx' });
    await bench.limit({ pod1: { egress: LIMIT } });
    if (policy === 'clsact') {
      run('tc', ['qdisc', 'replace', 'dev', 'pod1', 'clsact']);
      const filter = `filter add dev pod1 ingress pref 50 handle 1 protocol all bpf da obj ${bpfObjectPath('limit-policy')} sec tc`;
      run('tc', filter.split(' '));
    }
    return await blockedAndOpen(bench);
  } finally {
    object.close();
    if (policy === 'clsact') run('tc', 'filter del dev pod1 ingress pref 50'.split(' '));
    if (ours !== ownChoice) await bench.limits.reopen();
  }
}

async function blockedAndOpen(bench: Bench): Promise<Figures> {
  const to = addressOf('world', 4);
  const looks: { bytes: bigint; ns: bigint }[] = [];
  const look = (): void => {
    looks.push({ bytes: bench.limits.stat('pod1', 'egress').bytes, ns: process.hrtime.bigint() });
  };
  const { told, figures } = await bench.measure(
    {
      fromMs: 500,
      untilMs: 1500,
      meanwhile: [
        { atMs: 490, work: look },
        { atMs: 1490, work: look },
      ],
    },
    [
      { kind: 'sink', netns: 'world', port: 4000, proto: 'udp' },
      { kind: 'sink', netns: 'world', port: BLOCKED_PORT, proto: 'udp' },
      { kind: 'udp', netns: 'pod1', to, port: 4000, kbps: 30_000 },
      { kind: 'udp', netns: 'pod1', to, port: BLOCKED_PORT, kbps: 5000 },
    ],
  );
  const [first, last] = looks;
  const passed = mbit(Number(last!.bytes - first!.bytes), Number(last!.ns - first!.ns) / 1e9);
  return {
    blockedDelivered: Number(told[1]!['allDatagrams']),
    openMbit: mbit(Number(told[0]!['bytes']), 1),
    passedPercent: (100 * passed) / LIMIT,
    ...figures,
  };
}

const POLICIES: readonly Case[] = (
  [
    ['tcx', 'tcx', ['6.12']],
    ['tcx', 'clsact', ['6.12']],
    ['clsact', 'clsact', ALL_KERNELS],
  ] as const
).map(([ours, policy, kernels]): Case => ({
  id: `34-${ours}-then-${policy}`,
  number: 34,
  what: `a policy behind ours (${ours}, then ${policy}) still drops, and the limit is in force`,
  kernels,
  shift: 1,
  measure: (bench) => policyBehind(bench, ours, policy),
  // What the policy drops was charged: a seventh of what is offered.
  expected: {
    blockedDelivered: NONE,
    openMbit: { min: 15, max: 18.5 },
    passedPercent: about(100, 0.01),
    fqDropped: NONE,
  },
}));

export const HOSTILE: readonly Case[] = [...DEPARTURES, ...POLICIES];
