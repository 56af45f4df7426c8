import { setTimeout as sleep } from 'node:timers/promises';
import {
  FULL_FRAME,
  TCP_PAYLOAD,
  UDP_FRAME,
  UDP_PAYLOAD,
  bitsPerSecond,
  mbit,
  podsWith,
  type Bench,
  type Role,
} from '../guest/bench.ts';
import { UPLINK, addressOf } from '../guest/topology.ts';
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
    measure: async (bench) => {
      await bench.limit({ pod1: { ingress: INGRESS } });
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
    measure: async (bench) => {
      await bench.limit({ pod1: { ingress: INGRESS } });
      return bench.udp({ from: 'world', to: 'pod1', warmMs: 0, offeredMbit: 30 });
    },
    expected: { goodputMbit: about((INGRESS * UDP_PAYLOAD) / UDP_FRAME[4], 0.02), fqDropped: NONE },
  },
];

const SAMPLE_MS = 50;
const FROM_MS = 500;
const DOWN_MS = 1000;
const UP_MS = 3000;
const UNTIL_MS = 4500;

/** Of the study's bounds, which are of payload, to the wire: there no lost packet holds back others. */
const onWire = (payloadMbit: number): number => (payloadMbit * FULL_FRAME) / TCP_PAYLOAD[4];

interface Sample {
  /** From the start of the senders. */
  readonly fromMs: number;
  readonly mbit: number;
}

/** TCP hands down as much at a time; it leaves as a whole, so a window of any length may hold one too many. */
const SUPER_PACKET = 16_384;
const FIRST_MS = 450;
const oneMore = (ms: number): number => mbit(SUPER_PACKET, ms / 1000);

/** What was let through under the old limit waits at most this long. */
const PASSED_MS = 40;

/**
 * Case 13: 100 -> 10 -> 100 Mbit/s by the running agent, while 4 flows send. Samples count if they
 * began when the new limit was in force and what had been let through before had left.
 */
async function change(bench: Bench): Promise<Figures> {
  await bench.limit({ pod1: { egress: 100 } });
  const inForceNs: bigint[] = [];
  const changes: Promise<void>[] = [];
  const changeTo = async (egress: number): Promise<void> => {
    bench.limits.publish(podsWith({ pod1: { egress } }));
    while (bench.limits.bpsInForce('pod1', 'egress') !== bitsPerSecond(egress)) await sleep(5);
    inForceNs.push(process.hrtime.bigint());
  };
  // Not waited for: samples are taken meanwhile.
  const to = (egress: number) => (): void => void changes.push(changeTo(egress));
  const looks: { bytes: bigint; ns: bigint }[] = [];
  const look = (): void => void looks.push({ ns: process.hrtime.bigint(), bytes: bench.wireBytes(UPLINK) });
  const times = Array.from({ length: (UNTIL_MS - FROM_MS) / SAMPLE_MS }, (_, i) => FROM_MS + i * SAMPLE_MS);
  const window = {
    fromMs: FROM_MS,
    untilMs: UNTIL_MS,
    meanwhile: [
      ...times.map((atMs) => ({ atMs, work: look })),
      { atMs: DOWN_MS, work: to(10) },
      { atMs: UP_MS, work: to(100) },
    ].sort((a, b) => a.atMs - b.atMs),
  };
  const roles: Role[] = [
    { kind: 'sink', netns: 'world', port: 4000 },
    { kind: 'bulk', netns: 'pod1', to: addressOf('world', 4), port: 4000, flows: 4 },
  ];
  const { startNs, figures } = await bench.limits.running(async () => {
    const measured = await bench.measure(window, roles);
    await Promise.all(changes);
    return measured;
  });
  const ms = (ns: bigint): number => Number(ns - startNs) / 1e6;
  const samples = looks.slice(1).map(({ bytes, ns }, i): Sample => {
    const before = looks[i]!;
    return { fromMs: ms(before.ns), mbit: mbit(Number(bytes - before.bytes), Number(ns - before.ns) / 1e9) };
  });
  const [downMs, upMs] = inForceNs.map(ms);
  const lowFromMs = downMs! + PASSED_MS;
  const between = (from: number, until: number): number[] =>
    samples.filter(({ fromMs }) => fromMs >= from && fromMs + SAMPLE_MS <= until).map((sample) => sample.mbit);
  const low = between(lowFromMs, UP_MS);
  return {
    firstMeanMbit: mean(between(lowFromMs, lowFromMs + FIRST_MS)),
    lowMeanMbit: mean(low),
    lowMostMbit: Math.max(...low),
    raisedMbit: Math.max(...between(upMs!, upMs! + 150)),
    downAfterMs: downMs! - DOWN_MS,
    upAfterMs: upMs! - UP_MS,
    ...figures,
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
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
    expected: {
      firstMeanMbit: atMost(onWire(9.6) + oneMore(FIRST_MS - SAMPLE_MS)),
      lowMeanMbit: atMost(onWire(9.6) + oneMore(UP_MS - DOWN_MS - 500)),
      lowMostMbit: atMost(onWire(15)),
      raisedMbit: atLeast(onWire(93)),
      downAfterMs: atMost(1000),
      upAfterMs: atMost(1000),
      fqDropped: NONE,
    },
  },
];
