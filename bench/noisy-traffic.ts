/**
 * What wrong rates cost: pods are placed by rates of which each is off by a log-normal factor, and the placement is measured by the
 * true ones. Baseline: placed by the true ones, in the same arrival orders. Lost points, mean of all draws ± standard error.
 *
 *   node bench/noisy-traffic.ts [--sigma 0.5] [--draws 10] [--orders random,rollout] [--policies netloom,netloom-plan] [SNAPSHOT [TRAFFIC]]
 *
 * Without SNAPSHOT: M3 of the example data.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Order } from '../scheduler/simulate/arrivals.ts';
import type { SimulatedCluster } from '../scheduler/simulate/cluster.ts';
import { loadCluster } from '../scheduler/simulate/load.ts';
import type { PolicyName } from '../scheduler/simulate/policies/index.ts';
import { simulate } from '../scheduler/simulate/simulate.ts';
import { exampleData } from '../test/support/example-data.ts';
import { disturb, worth } from '../test/support/noisy-traffic.ts';
import { mean, standardError } from './support/statistics.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sigma: { type: 'string', default: '0.5' },
    draws: { type: 'string', default: '10' },
    orders: { type: 'string', default: 'random,rollout' },
    policies: { type: 'string', default: 'netloom,netloom-plan' },
  },
});
const sigma = Number(values.sigma);
const draws = Number(values.draws);

function placed(cluster: SimulatedCluster, policy: PolicyName, order: Order, seed: number): Int32Array {
  const options = { policy, order, firstSeed: seed, seeds: 1, defaultModel: 'kube', routing: 'balanced' } as const;
  return simulate(cluster, options).nodeOf;
}

const rounded = (x: number): number => Number(x.toFixed(2));

let [snapshot, traffic] = positionals;
if (snapshot === undefined) {
  const data = exampleData('M3.json');
  if ('missing' in data) {
    console.log(`nothing to measure: ${data.missing}`);
    process.exit(0);
  }
  snapshot = join(data.folder, 'M3.json');
  traffic = undefined;
}
const load = (files: { snapshot: string; traffic: string | undefined }): Promise<SimulatedCluster> =>
  loadCluster(files, { maxReplicaShare: 0.5 });

const folder = mkdtempSync(join(tmpdir(), 'netloom-noise-'));
const rows: Record<string, Record<string, string>> = {};
const figures: Record<string, number> = {};
const baseline: Record<string, number> = {};
try {
  const exact = await load({ snapshot, traffic });
  const noisy: SimulatedCluster[] = [];
  for (let draw = 0; draw < draws; draw++) {
    const off = join(folder, `${draw}${traffic === undefined ? '.json' : '.csv'}`);
    disturb(traffic ?? snapshot, off, sigma, draw);
    noisy.push(await load(traffic === undefined ? { snapshot: off, traffic } : { snapshot, traffic: off }));
  }
  for (const policy of values.policies.split(',') as PolicyName[]) {
    for (const order of values.orders.split(',') as Order[]) {
      const known = noisy.map((_, draw) => worth(exact, placed(exact, policy, order, draw)));
      const guessed = noisy.map((cluster, draw) => worth(exact, placed(cluster, policy, order, draw)));
      const lost = known.map((share, draw) => share - guessed[draw]!);
      const name = `${policy} ${order}`;
      rows[name] = {
        'true rates': mean(known).toFixed(1),
        'rates that are off': mean(guessed).toFixed(1),
        lost: `${mean(lost).toFixed(1)} ± ${standardError(lost).toFixed(1)}`,
      };
      figures[name] = rounded(mean(guessed));
      baseline[name] = rounded(mean(known));
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`local traffic, percent, with rates that are off by exp(N(0, ${sigma}²)), ${draws} draws`);
console.table(rows);
console.log(
  JSON.stringify({
    name: 'noisy-traffic',
    sigma,
    draws,
    figures,
    baseline,
    ratio: rounded(Math.min(...Object.keys(figures).map((name) => figures[name]! / baseline[name]!))),
  }),
);
