import { FULL_FRAME, TCP_PAYLOAD, UDP_FRAME, UDP_PAYLOAD, mbit, type Bench } from '../guest/bench.ts';
import { addressOf } from '../guest/topology.ts';
import { ALL_KERNELS, NONE, about, atLeast, atMost, type Case, type Figures } from './case.ts';

const INGRESS = 20;

/** Case 12: a limit towards the pod holds from the first second on; a token bucket passes nearly twice as much. */
const FIRST_SECOND: readonly Case[] = [
  {
    id: '12-tcp-first-second',
    number: 12,
    what: `ingress ${INGRESS} Mbit/s, TCP, the first second from idle`,
    kernels: ALL_KERNELS,
    shift: 1,
    measure: (bench) => {
      bench.limit({ pod1: { ingress: INGRESS } });
      return bench.tcp({ from: 'world', to: 'pod1', flows: 4, callers: 0, warmMs: 0, limitMbit: INGRESS });
    },
    expected: { goodputMbit: about((INGRESS * TCP_PAYLOAD[4]) / FULL_FRAME, 0.02), fqDropped: NONE },
  },
  {
    id: '12-udp-first-second',
    number: 12,
    what: `ingress ${INGRESS} Mbit/s, UDP of 30, the first second from idle`,
    kernels: ALL_KERNELS,
    shift: 1,
    measure: (bench) => {
      bench.limit({ pod1: { ingress: INGRESS } });
      return bench.udp({ from: 'world', to: 'pod1', warmMs: 0, offeredMbit: 30 });
    },
    expected: { goodputMbit: about((INGRESS * UDP_PAYLOAD) / UDP_FRAME[4], 0.02), fqDropped: NONE },
  },
];

const SAMPLE_MS = 50;
const FROM_MS = 500;
const DOWN_MS = 1000;
const UP_MS = 2000;
const UNTIL_MS = 2600;

/** Case 13: 100 -> 10 -> 100 Mbit/s while 4 flows send. The samples begin when the new limit is in force. */
async function change(bench: Bench): Promise<Figures> {
  bench.limit({ pod1: { egress: 100 } });
  const inForce: bigint[] = [];
  const to = (egress: number) => (): void => {
    bench.limit({ pod1: { egress } });
    inForce.push(process.hrtime.bigint());
  };
  const { told, startNs, figures } = await bench.measure(
    {
      fromMs: FROM_MS,
      untilMs: UNTIL_MS,
      everyMs: SAMPLE_MS,
      meanwhile: [
        { atMs: DOWN_MS, work: to(10) },
        { atMs: UP_MS, work: to(100) },
      ],
    },
    [
      { kind: 'sink', netns: 'world', port: 4000 },
      { kind: 'bulk', netns: 'pod1', to: addressOf('world', 4), port: 4000, flows: 4 },
    ],
  );
  const samples = (told[0]!['samples'] as number[]).map((bytes) => mbit(bytes, SAMPLE_MS / 1000));
  const [down, up] = inForce.map((ns) => Math.ceil((Number(ns - startNs) / 1e6 - FROM_MS) / SAMPLE_MS));
  const low = samples.slice(down, down! + 400 / SAMPLE_MS);
  const raised = samples.slice(up!, up! + 100 / SAMPLE_MS);
  return {
    lowMeanMbit: low.reduce((sum, sample) => sum + sample, 0) / low.length,
    lowMostMbit: Math.max(...samples.slice(down, Math.floor((UP_MS - FROM_MS) / SAMPLE_MS))),
    raisedMbit: Math.max(...raised),
    downAfterMs: Number(inForce[0]! - startNs) / 1e6 - DOWN_MS,
    upAfterMs: Number(inForce[1]! - startNs) / 1e6 - UP_MS,
    ...figures,
  };
}

export const CHANGES: readonly Case[] = [
  ...FIRST_SECOND,
  {
    id: '13-live-change',
    number: 13,
    what: '100 -> 10 -> 100 Mbit/s under load',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: change,
    expected: { lowMeanMbit: atMost(9.6), lowMostMbit: atMost(15), raisedMbit: atLeast(93), fqDropped: NONE },
  },
];
