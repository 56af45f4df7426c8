/**
 * What limits cost a node: 110 pods. Time until the first limit of a pod is in force, until all are (each pod in both
 * directions), and after a restart; memory of the agent and of the maps; CPU of the agent while nothing changes, and while one
 * annotation changes each second.
 *
 *   node bench/limit-attach.ts [--pods N] [--seconds N]
 *
 * `bin/netloom agent` itself, in a network namespace that plays the node. Baseline: the same agent without --enforce.
 */
import { closeSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { libbpf } from '../lib/bpf/libbpf.ts';
import { LimitsRig } from '../test/kernel/limit-support/limits-rig.ts';
import type { Running } from '../test/support/netloom.ts';

const { values } = parseArgs({
  options: { pods: { type: 'string', default: '110' }, seconds: { type: 'string', default: '30' } },
});
const PODS = Number(values.pods);
const SECONDS = Number(values.seconds);
/** USER_HZ, which is 100 on every architecture that matters. */
const TICKS_PER_SECOND = 100;

const rig = new LimitsRig();
try {
  const pods = Array.from({ length: PODS }, (_, i) => rig.addPod(i + 1));
  rig.publish();
  // Later starts find the compile cache.
  const warm = rig.start('--dry-run');
  await warm.says('measuring');
  await warm.end();

  const plain = rig.start();
  await plain.says('measuring');
  const baseline = { cpu: await cpuShare(plain), rssMb: rssMb(plain) };
  await plain.end();

  const sole = rig.start('--enforce');
  await sole.says('measuring');
  await sleep(2000);
  rig.annotate(`p${PODS}`, { egress: '100M' });
  const publishedMs = performance.now();
  rig.publish();
  const wanted = [`/${pods.at(-1)!.ifindex}_from_pod`, `/${rig.outside.ifindex}_leave`];
  while (!wanted.every((end) => rig.links().some((path) => path.endsWith(end)))) await sleep(5);
  await rig.classHas(rig.outside.uplink, 'ceil 100Mbit');
  const firstMs = Math.round(performance.now() - publishedMs);
  await sole.end();
  await rig.detach();

  for (let number = 1; number <= PODS; number++) rig.annotate(`p${number}`, { egress: '100M', ingress: '200M' });
  rig.publish();
  const first = rig.start('--enforce');
  const attachMs = await untilHeld(first);
  const idle = { cpu: await cpuShare(first), rssMb: rssMb(first) };
  const mapsMb = mapsMemory() / 2 ** 20;
  let mbit = 100;
  const changing = await cpuShare(first, () => {
    rig.annotate(`p${1 + (mbit % PODS)}`, { egress: `${++mbit}M`, ingress: '200M' });
    rig.publish();
  });
  await first.end('SIGKILL');
  const second = rig.start('--enforce');
  const takeOverMs = await untilHeld(second);
  await sleep(5000);
  const resumedMb = rssMb(second);
  await second.end();

  console.table({
    'agent without --enforce': { 'CPU %': percent(baseline.cpu), 'RSS MB': baseline.rssMb },
    [`${PODS} limited pods, nothing changes`]: { 'CPU %': percent(idle.cpu), 'RSS MB': idle.rssMb },
    'one annotation changes each second': { 'CPU %': percent(changing) },
    'after a restart': { 'RSS MB': resumedMb },
  });
  console.table({
    'the first limit, from the change of its annotation': { ms: firstMs },
    [`all ${2 * PODS} limits from when the pods were known`]: { ms: attachMs },
    'after a restart': { ms: takeOverMs },
  });
  console.log(`maps: ${mapsMb.toFixed(1)} MB of kernel memory, for 1,024 slots`);
  console.log(
    JSON.stringify({
      name: 'limit-attach',
      figures: {
        pods: PODS,
        firstMs,
        attachMs,
        takeOverMs,
        rssMb: idle.rssMb,
        rssMbResumed: resumedMb,
        cpuPercentIdle: percent(idle.cpu),
        cpuPercentChanging: percent(changing),
        mapsMb: Number(mapsMb.toFixed(1)),
      },
      baseline: { name: 'agent without --enforce', rssMb: baseline.rssMb, cpuPercentIdle: percent(baseline.cpu) },
      ratio: Number((idle.rssMb / baseline.rssMb).toPrecision(3)),
    }),
  );
} finally {
  await rig.remove();
}

/** Time from when the agent knew of its pods until it said of every direction that it is held. */
async function untilHeld(agent: Running): Promise<number> {
  await agent.says('limits of pods', 60_000);
  for (;;) {
    const lines = agent.log();
    const held = lines.filter(({ msg, state }) => msg === 'limit' && state === 'shaped-htb');
    if (held.length >= 2 * PODS) {
      const known = lines.find(({ msg }) => msg === 'snapshot of pods read')!;
      return timeOf(held.at(-1)!) - timeOf(known);
    }
    await sleep(50);
  }
}

function timeOf(line: { readonly [key: string]: unknown }): number {
  return Date.parse(String(line['time']));
}

/** Share of one CPU over the next seconds. @param work done once a second */
async function cpuShare(agent: Running, work?: () => void): Promise<number> {
  // What is left of the start.
  await sleep(3000);
  const before = cpuSeconds(agent);
  const startedMs = performance.now();
  for (let second = 0; second < SECONDS; second++) {
    work?.();
    await sleep(1000);
  }
  return (cpuSeconds(agent) - before) / ((performance.now() - startedMs) / 1000);
}

/** User and system time; proc_pid_stat(5) fields 14 and 15. */
function cpuSeconds({ pid }: Running): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function rssMb({ pid }: Running): number {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number((Number(/^VmRSS:\s*(\d+) kB/m.exec(text)![1]) / 1024).toFixed(1));
}

/** Bytes that the kernel charges for the pinned maps. */
function mapsMemory(): number {
  return rig.maps().reduce((sum, path) => {
    const opts = Buffer.alloc(16);
    opts.writeBigUInt64LE(16n, 0);
    const fd = libbpf().bpf_obj_get_opts(path, opts);
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
    closeSync(fd);
    return sum + Number(/^memlock:\s*(\d+)/m.exec(info)![1]);
  }, 0);
}

function percent(share: number): number {
  return Number((share * 100).toPrecision(3));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
