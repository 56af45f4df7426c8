// How much local traffic a plan gets within its budgets, against a minute of the annealing that placement-study.md §3 describes
// (on the same core, its iterations counted beforehand). M3 where the example data are, and made-up clusters unlike it.
// Usage: node bench/plan-quality.ts [CLUSTER...]
import { join } from 'node:path';
import type { PlacementProblem } from '../scheduler/placement/problem.ts';
import { worthwhileIterations } from '../scheduler/plan/iterations.ts';
import { planPlacement } from '../scheduler/plan/plan.ts';
import { generateCluster, type GenerateOptions } from '../scheduler/simulate/generate/generate.ts';
import { clusterOf, loadCluster } from '../scheduler/simulate/load.ts';
import { exampleData } from '../test/support/example-data.ts';
import { StudyAnnealing } from './support/study-annealing.ts';

const BASELINE_SECONDS = 60;
const CALIBRATION = 20_000;
const OPTIONS = { maxReplicaShare: 0.5, hasUnits: true };

const GENERATED: Readonly<Record<string, Partial<GenerateOptions>>> = {
  'nodes-8': { nodes: 8, seed: 11, talking: 0.9, trafficSkew: 0.4, cpu: 0.6 },
  'nodes-40': { nodes: 40, seed: 12, talking: 0.6, trafficSkew: 0.5, giant: 0.2 },
  'nodes-300': { nodes: 300, seed: 13, talking: 0.8, trafficSkew: 0.7, degrees: 2, cpu: 0.75 },
  'nodes-2000': { nodes: 2_000, seed: 14, talking: 0.5, trafficSkew: 0.8, giant: 0.3 },
};

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function problemOf(name: string): Promise<PlacementProblem | undefined> {
  if (name !== 'm3') {
    const { records, traffic } = generateCluster(GENERATED[name]!);
    return clusterOf(records, traffic, OPTIONS).problem;
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
  const runs: Record<string, { share: number; seconds: number; zone: number }> = {};
  for (const [budget, iterations] of [
    ['communities', 0],
    ['short', Math.round(full / 10)],
    ['full', full],
  ] as const) {
    const from = cpuSeconds();
    const plan = planPlacement(problem, { seed: 1, iterations });
    const unplaced = plan.unplaced.reduce((sum, { replicas }) => sum + replicas, 0);
    if (unplaced > 0) console.log(`${name}, ${budget}: ${unplaced} replicas unplaced`);
    runs[budget] = { share: plan.localShare.node, seconds: cpuSeconds() - from, zone: plan.localShare.zone };
  }
  const study = baseline(problem);
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
    minuteOfAnnealing: percent(study.share),
    minuteIterations: study.iterations,
  };
  ratios.push(whole.share / study.share);
  rows[name] = {
    communities: percent(communities.share),
    [`short`]: `${percent(short.share)} (${short.seconds.toFixed(1)} s)`,
    [`full`]: `${percent(whole.share)} (${whole.seconds.toFixed(1)} s)`,
    proposals: full,
    zone: percent(whole.zone),
    'study, 60 s': `${percent(study.share)} (${(study.iterations / 1e6).toFixed(1)} M)`,
    'full / study': Number((whole.share / study.share).toFixed(4)),
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
