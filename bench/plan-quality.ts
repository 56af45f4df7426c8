// How much local traffic a plan gets within its budgets, against a minute of the annealing that placement-study.md §3 describes
// (on the same core, its iterations counted beforehand). M3 where the example data are, and made-up clusters unlike it, some with
// pods tied to nodes and with narrow links; the largest without that baseline, for time and memory.
// Usage: node bench/plan-quality.ts [CLUSTER...]
import { join } from 'node:path';
import type { ClusterRecord } from '../scheduler/cluster/model.ts';
import type { PlacementProblem } from '../scheduler/placement/problem.ts';
import { worthwhileIterations } from '../scheduler/plan/iterations.ts';
import { planPlacement } from '../scheduler/plan/plan.ts';
import { generateCluster, type GenerateOptions } from '../scheduler/simulate/generate/generate.ts';
import { clusterOf, loadCluster } from '../scheduler/simulate/load.ts';
import { exampleData } from '../test/support/example-data.ts';
import { StudyAnnealing } from './support/study-annealing.ts';

const BASELINE_SECONDS = Number(process.env['BASELINE_SECONDS'] ?? 60);
const CALIBRATION = 100_000;
const OPTIONS = { maxReplicaShare: 0.5, hasUnits: true };

interface Made extends Partial<GenerateOptions> {
  /** A fifth of the nodes is tainted, a third has SSDs; a fifth of the workloads demands these, a tenth tolerates the taint. */
  readonly tied?: true;
  /** Of every node's link. */
  readonly linkMbps?: number;
}

const GENERATED: Readonly<Record<string, Made>> = {
  'nodes-8': { nodes: 8, seed: 11, talking: 0.9, trafficSkew: 0.4, cpu: 0.6 },
  'nodes-40': { nodes: 40, seed: 12, talking: 0.6, trafficSkew: 0.5, giant: 0.2 },
  'nodes-300': { nodes: 300, seed: 13, talking: 0.8, trafficSkew: 0.7, degrees: 2, cpu: 0.75 },
  'tied-60': { nodes: 60, seed: 21, talking: 0.8, trafficSkew: 0.6, giant: 0.3, cpu: 0.6, tied: true },
  'tied-300': { nodes: 300, seed: 22, talking: 0.7, trafficSkew: 0.9, giant: 0.5, cpu: 0.65, tied: true },
  'links-60': { nodes: 60, seed: 23, talking: 0.8, trafficSkew: 0.5, external: 0.4, cpu: 0.7, linkMbps: 60 },
  'nodes-2000': { nodes: 2_000, seed: 14, talking: 0.5, trafficSkew: 0.8, giant: 0.3 },
  'nodes-5000': { nodes: 5_000 },
};
/** The baseline counts densely. */
const WITHOUT_BASELINE: ReadonlySet<string> = new Set(['nodes-5000']);

function restricted(record: ClusterRecord, i: number): ClusterRecord {
  if (record.type === 'node') {
    return {
      ...record,
      ...(i % 3 === 0 ? { labels: { ...record.labels, disk: 'ssd' } } : {}),
      ...(i % 5 === 2 ? { taints: [{ key: 'dedicated', value: '', effect: 'NoSchedule' }] } : {}),
    };
  }
  if (record.type !== 'pod' || record.owner?.kind === 'DaemonSet') return record;
  const kind = Number(/\d+/.exec(record.owner?.name ?? '')?.[0] ?? 0) % 10;
  const tolerations = kind === 5 ? [{ key: 'dedicated', operator: 'Exists', value: '', effect: '' }] : [];
  const selector: Record<string, string> = kind < 2 ? { disk: 'ssd' } : {};
  return kind < 2 || kind === 5 ? { ...record, nodeChoice: { selector, terms: undefined, tolerations } } : record;
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function problemOf(name: string): Promise<PlacementProblem | undefined> {
  if (name !== 'm3') {
    const { tied, linkMbps, ...options } = GENERATED[name]!;
    const { records, traffic } = generateCluster(options);
    const all = tied ? records.map(restricted) : records;
    return clusterOf(all, traffic, { ...OPTIONS, ...(linkMbps === undefined ? {} : { linkMbps }) }).problem;
  }
  const data = exampleData('M3.json');
  if ('missing' in data) {
    console.log(`m3 is left out: ${data.missing}`);
    return undefined;
  }
  const files = { snapshot: join(data.folder, 'M3.json'), traffic: undefined };
  return (await loadCluster(files, OPTIONS)).problem;
}

/** A minute's worth of proposals: cooling needs to know beforehand how many there will be. */
function baseline(problem: PlacementProblem): { share: number; iterations: number; seconds: number } {
  const trial = new StudyAnnealing(problem, 1);
  trial.run(CALIBRATION);
  let from = cpuSeconds();
  trial.run(CALIBRATION);
  const iterations = Math.round((CALIBRATION / (cpuSeconds() - from)) * BASELINE_SECONDS);
  const annealing = new StudyAnnealing(problem, 1);
  from = cpuSeconds();
  return { share: annealing.run(iterations), iterations, seconds: cpuSeconds() - from };
}

const wanted = process.argv.slice(2);
const rows: Record<string, Record<string, string | number>> = {};
const figures: Record<string, Record<string, number>> = {};
const ratios: number[] = [];
for (const name of wanted.length > 0 ? wanted : ['m3', ...Object.keys(GENERATED)]) {
  const problem = await problemOf(name);
  if (problem === undefined) continue;
  const full = worthwhileIterations(problem);
  const runs: Record<string, { share: number; seconds: number; zone: number; overload: number }> = {};
  for (const [budget, iterations] of [
    ['communities', 0],
    ['short', Math.round(full / 10)],
    ['full', full],
  ] as const) {
    const from = cpuSeconds();
    const plan = planPlacement(problem, { seed: 1, iterations });
    const unplaced = plan.unplaced.reduce((sum, { replicas }) => sum + replicas, 0);
    if (unplaced > 0) console.log(`${name}, ${budget}: ${unplaced} replicas unplaced`);
    runs[budget] = {
      share: plan.localShare.node,
      seconds: cpuSeconds() - from,
      zone: plan.localShare.zone,
      overload: plan.linkOverload,
    };
  }
  const study = WITHOUT_BASELINE.has(name) ? undefined : baseline(problem);
  const percent = (share: number): number => Number((100 * share).toFixed(2));
  const { communities, short, full: whole } = runs as Record<'communities' | 'short' | 'full', (typeof runs)[string]>;
  figures[name] = {
    communities: percent(communities.share),
    short: percent(short.share),
    full: percent(whole.share),
    zone: percent(whole.zone),
    iterations: full,
    shortCpuSeconds: Number(short.seconds.toFixed(2)),
    fullCpuSeconds: Number(whole.seconds.toFixed(2)),
    linkOverload: Number(whole.overload.toFixed(3)),
    ...(study && { minuteOfAnnealing: percent(study.share), minuteIterations: study.iterations }),
    maxMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  };
  if (study) ratios.push(whole.share / study.share);
  rows[name] = {
    communities: percent(communities.share),
    [`short`]: `${percent(short.share)} (${short.seconds.toFixed(1)} s)`,
    [`full`]: `${percent(whole.share)} (${whole.seconds.toFixed(1)} s)`,
    proposals: full,
    zone: percent(whole.zone),
    overload: Number(whole.overload.toFixed(2)),
    'study, 60 s': study ? `${percent(study.share)} (${(study.iterations / 1e6).toFixed(1)} M)` : '-',
    'full / study': study ? Number((whole.share / study.share).toFixed(4)) : '-',
  };
}
console.table(rows);
console.log(
  JSON.stringify({
    name: 'plan-quality',
    figures,
    ratio: ratios.length === 0 ? 0 : Number(Math.min(...ratios).toFixed(4)),
  }),
);
