import { setTimeout as sleep } from 'node:timers/promises';
import { UDP_FRAME, UDP_PAYLOAD, mbit, type Bench, type Measured, type Role, type Window } from '../guest/bench.ts';
import { SLOW_LINK_MBIT, addressOf, run, type Place } from '../guest/topology.ts';
import { ALL_KERNELS, NONE, STEADY, about, atLeast, atMost, type Case, type Figures } from './case.ts';

const UDP_SHARE = UDP_PAYLOAD / UDP_FRAME[4];

async function limitSender(bench: Bench): Promise<void> {
  await bench.limit({ pod1: { egress: 20 } });
}

const tcpCase = (name: string, family: 4 | 6, ecn: boolean): Case => ({
  id: `7-${name}`,
  number: 7,
  ci: family === 6,
  what: `from pod to pod of the same node, 4 flows, ${name}, 20 Mbit/s`,
  kernels: ALL_KERNELS,
  shift: 1,
  measure: async (bench) => {
    await limitSender(bench);
    return bench.tcp({ from: 'pod1', to: 'pod2', family, ecn, flows: 4, limitMbit: 20, ...STEADY });
  },
  expected: { efficiencyPercent: about(100, 0.01), p99Ms: atMost(1.1), fqDropped: NONE },
});

/** Case 7. */
const SAME_NODE: readonly Case[] = [
  tcpCase('cubic', 4, false),
  tcpCase('cubic-ecn', 4, true),
  tcpCase('cubic-v6', 6, false),
  {
    id: '7-udp',
    number: 7,
    ci: true,
    what: 'from pod to pod of the same node, UDP, 20 Mbit/s',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: async (bench) => {
      await limitSender(bench);
      return bench.udp({ from: 'pod1', to: 'pod2', offeredMbit: 30 });
    },
    expected: { goodputMbit: about(20 * UDP_SHARE, 0.005), fqDropped: NONE },
  },
];

/** How long the running agent takes to put fq back on a device, ms. */
async function fqIsBack(bench: Bench, device: string): Promise<number> {
  const start = performance.now();
  while (bench.rootKind(device) !== 'fq' && performance.now() - start < 20_000) await sleep(20);
  return performance.now() - start;
}

/** What the agent looks for: without fq on the target's device a limited flow there is policed, not paced. */
const WITHOUT_FQ: Case = {
  id: '8-no-fq-at-target',
  number: 8,
  what: 'fq taken away from the target pod: the agent notices, and puts it back',
  kernels: ALL_KERNELS,
  shift: 1,
  measure: async (bench) => {
    await limitSender(bench);
    run('tc', ['qdisc', 'del', 'dev', 'pod2', 'root']);
    const gone = Number(bench.rootKind('pod2') !== 'fq');
    const repairedAfterMs = await bench.limits.running(() => fqIsBack(bench, 'pod2'));
    const repaired = await bench.tcp({ from: 'pod1', to: 'pod2', flows: 4, limitMbit: 20, ...STEADY });
    return {
      gone,
      repairedAfterMs,
      repairedPercent: repaired['efficiencyPercent']!,
      fqDropped: repaired['fqDropped']!,
    };
  },
  expected: { gone: atLeast(1), repairedAfterMs: atMost(1000), repairedPercent: about(100, 0.01), fqDropped: NONE },
};

/** Case 11: the limit of who sends, and of who receives. */
const COMPOSED: readonly Case[] = [
  { name: '20-to-50', egress: 20, ingress: 50, least: 20 },
  { name: '50-to-20', egress: 50, ingress: 20, least: 20 },
].map(({ name, egress, ingress, least }): Case => ({
  id: `11-${name}`,
  number: 11,
  what: `egress ${egress} to ingress ${ingress} Mbit/s`,
  kernels: ALL_KERNELS,
  shift: 1,
  measure: async (bench) => {
    await bench.limit({ pod1: { egress }, pod2: { ingress } });
    return bench.tcp({ from: 'pod1', to: 'pod2', flows: 4, limitMbit: least, ...STEADY });
  },
  expected: { efficiencyPercent: about(100, 0.01), p99Ms: atMost(1.1), fqDropped: NONE },
}));

/** Bulk flows between several pairs at once, and what each received, Mbit/s. */
async function pairs(
  bench: Bench,
  list: readonly { readonly from: Place; readonly to: Place; readonly flows: number }[],
  wire?: Window['wire'],
): Promise<{ goodputs: number[]; figures: Measured['figures'] }> {
  const roles = list.flatMap(({ from, to, flows }, i): Role[] => [
    { kind: 'sink', netns: to, port: 4000 + i },
    { kind: 'bulk', netns: from, to: addressOf(to, 4), port: 4000 + i, flows },
  ]);
  const window = { fromMs: 700, untilMs: 1700, ...(wire === undefined ? {} : { wire }) };
  const { told, seconds, figures } = await bench.measure(window, roles);
  return { goodputs: list.map((_, i) => mbit(Number(told[2 * i]!['bytes']), seconds)), figures };
}

const TWO_SENDERS: Case = {
  id: '11-20-and-50-to-30',
  number: 11,
  what: 'egress 20 and egress 50 to ingress 30 Mbit/s, together',
  kernels: ALL_KERNELS,
  shift: 1,
  measure: async (bench) => {
    await bench.limit({ pod1: { egress: 20 }, pod2: { egress: 50 }, pod3: { ingress: 30 } });
    const wire = { device: 'pod3', limitMbit: 30 };
    const { goodputs, figures } = await pairs(
      bench,
      [
        { from: 'pod1', to: 'pod3', flows: 4 },
        { from: 'pod2', to: 'pod3', flows: 4 },
      ],
      wire,
    );
    return { of20Mbit: goodputs[0]!, of50Mbit: goodputs[1]!, ...figures };
  },
  expected: { wirePercent: about(100, 0.01), fqDropped: NONE },
};

/** Not of the study's list; the issue asks for it: a limit of one pod, and fq on the others, slow down nobody else. */
const UNLIMITED: Case = {
  id: '26-unlimited-pods',
  number: 26,
  ci: true,
  what: `pods without limits beside a limited one: with each other they exceed twice the link of ${SLOW_LINK_MBIT} Mbit/s`,
  kernels: ALL_KERNELS,
  shift: 1,
  measure: async (bench): Promise<Figures> => {
    bench.useSlowLink();
    await bench.limit({ pod1: { egress: 20 } });
    const link = await pairs(bench, [{ from: 'pod2', to: 'far', flows: 4 }]);
    const { goodputs, figures } = await pairs(bench, [
      { from: 'pod1', to: 'far', flows: 4 },
      { from: 'pod2', to: 'pod3', flows: 4 },
    ]);
    return {
      linkMbit: link.goodputs[0]!,
      limitedMbit: goodputs[0]!,
      exchangedMbit: goodputs[1]!,
      timesLink: goodputs[1]! / link.goodputs[0]!,
      ...figures,
    };
  },
  expected: {
    linkMbit: { min: 0.9 * SLOW_LINK_MBIT, max: SLOW_LINK_MBIT },
    limitedMbit: about((20 * 1448) / 1514, 0.02),
    timesLink: atLeast(2),
    fqDropped: NONE,
  },
};

export const ON_ONE_NODE: readonly Case[] = [...SAME_NODE, WITHOUT_FQ, ...COMPOSED, TWO_SENDERS, UNLIMITED];
