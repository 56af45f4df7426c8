/**
 * Reading a whole BPF map: batches off the event loop (what the collector does) against the baselines
 * "key by key" (next_key + lookup, as most collectors do it) and "one call" (the whole map in one synchronous batch).
 * `hold cpu` is the most CPU time that the thread took between two turns: it does not depend on other load.
 * The figures are the medians over the rounds; `hold` is the longest time in which the event loop did not turn. The row
 * "nothing" waits as long as the batches take: what it holds is the machine's other load.
 * Needs root. `node bench/map-read.ts [entries] [rounds]`
 */
import { bpfObjectPath, loadBpf, type BpfMap } from '../lib/bpf/index.ts';
import { libbpf } from '../lib/bpf/libbpf.ts';

const entries = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 11);

interface Sample {
  readonly wallMs: number;
  readonly holdMs: number;
  readonly holdCpuMs: number;
  readonly sum: number;
}

/** Decodes as the collector would: every value is touched. */
function sumOf(values: DataView, stride: number, count: number): number {
  let sum = 0;
  for (let entry = 0; entry < count; entry++) {
    for (let at = entry * stride; at < (entry + 1) * stride; at += 32) sum += values.getUint32(at, true);
  }
  return sum;
}

async function inBatches(map: BpfMap): Promise<number> {
  let sum = 0;
  await map.readAll((_keys, values, count) => (sum += sumOf(values, map.valueStride, count)));
  return sum;
}

function inOneCall(map: BpfMap): number {
  const room = map.maxEntries;
  const keys = new Uint8Array(room * map.keySize);
  const values = new Uint8Array(room * map.valueStride);
  const count = new Uint32Array([room]);
  libbpf().bpf_map_lookup_batch(map.fd, null, new Uint8Array(64), keys, values, new Uint8Array(count.buffer), null);
  return sumOf(new DataView(values.buffer), map.valueStride, count[0] ?? 0);
}

function keyByKey(map: BpfMap): number {
  const api = libbpf();
  const [key, next] = [new Uint8Array(map.keySize), new Uint8Array(map.keySize)];
  const value = new Uint8Array(map.valueStride);
  const view = new DataView(value.buffer);
  let previous: Uint8Array | null = null;
  let sum = 0;
  while (api.bpf_map_get_next_key(map.fd, previous, next) === 0) {
    key.set(next);
    previous = key;
    if (api.bpf_map_lookup_elem(map.fd, key, value) === 0) sum += sumOf(view, map.valueStride, 1);
  }
  return sum;
}

/** As long as the batches take, without a map: 1 us an entry. */
async function nothing(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, entries / 1000));
  return NaN;
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

async function measure(work: () => number | Promise<number>): Promise<Sample> {
  let holdMs = 0;
  let holdCpuMs = 0;
  let turned = performance.now();
  let cpuMs = threadCpuMs();
  const turn = (): void => {
    const now = performance.now();
    holdMs = Math.max(holdMs, now - turned);
    turned = now;
    const cpuNowMs = threadCpuMs();
    holdCpuMs = Math.max(holdCpuMs, cpuNowMs - cpuMs);
    cpuMs = cpuNowMs;
    timer = setImmediate(turn);
  };
  let timer = setImmediate(turn);
  await new Promise((resolve) => setImmediate(resolve));
  const started = performance.now();
  const sum = await work();
  const wallMs = performance.now() - started;
  await new Promise((resolve) => setImmediate(resolve));
  clearImmediate(timer);
  return { wallMs, holdMs, holdCpuMs, sum };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
const round2 = (value: number): number => Math.round(value * 100) / 100;

const WAYS = {
  'batches off the loop': inBatches,
  'one call': inOneCall,
  'key by key': keyByKey,
  nothing,
} as const;
type Way = keyof typeof WAYS;

const object = await loadBpf({
  object: bpfObjectPath('test-maps'),
  maxEntries: { flows_hash: Math.ceil(entries * 1.3), flows_percpu: Math.ceil(entries * 1.3) },
});
const rows: Record<string, string | number>[] = [];
const results = new Map<string, Record<string, number>>();
for (const name of ['flows_hash', 'flows_percpu']) {
  const map = object.map(name);
  const key = new Uint8Array(map.keySize);
  const value = new Uint8Array(map.valueStride).fill(1);
  for (let index = 0; index < entries; index++) {
    new DataView(key.buffer).setUint32(0, index, true);
    map.update(key, value);
  }
  const samples: Record<Way, Sample[]> = { 'batches off the loop': [], 'one call': [], 'key by key': [], nothing: [] };
  // Interleaved, so that what else runs on the machine strikes all alike.
  for (let round = 0; round < rounds; round++) {
    for (const way of Object.keys(WAYS) as Way[]) samples[way].push(await measure(() => WAYS[way](map)));
  }
  const sums = new Set(
    Object.values(samples)
      .flatMap((all) => all.map(({ sum }) => sum))
      .filter((sum) => !Number.isNaN(sum)),
  );
  if (sums.size !== 1) throw new Error(`the ways read different values from ${name}: ${[...sums].join(', ')}`);
  for (const way of Object.keys(WAYS) as Way[]) {
    const wallMs = median(samples[way].map((sample) => sample.wallMs));
    const holdMs = median(samples[way].map((sample) => sample.holdMs));
    const worstHoldMs = Math.max(...samples[way].map((sample) => sample.holdMs));
    const worstHoldCpuMs = Math.max(...samples[way].map((sample) => sample.holdCpuMs));
    results.set(`${name}/${way}`, {
      wallMs: round2(wallMs),
      holdMs: round2(holdMs),
      worstHoldMs: round2(worstHoldMs),
      worstHoldCpuMs: round2(worstHoldCpuMs),
    });
    rows.push({
      map: name,
      way,
      'wall ms': round2(wallMs),
      'ns/entry': Math.round((wallMs * 1e6) / entries),
      'hold ms (median)': round2(holdMs),
      'hold ms (worst)': round2(worstHoldMs),
      'hold cpu ms (worst)': round2(worstHoldCpuMs),
    });
  }
}
object.close();
console.table(rows);

const figureOf = (name: string): Record<string, number> => results.get(name) ?? {};
const ours = figureOf('flows_hash/batches off the loop');
const baseline = figureOf('flows_hash/key by key');
console.log(
  JSON.stringify({
    name: 'map-read',
    figures: {
      entries,
      ...ours,
      perCpu: figureOf('flows_percpu/batches off the loop'),
      idle: figureOf('flows_hash/nothing'),
    },
    baseline: { name: 'key by key (next_key + lookup)', ...baseline },
    ratio: round2((baseline['wallMs'] ?? NaN) / (ours['wallMs'] ?? NaN)),
  }),
);
