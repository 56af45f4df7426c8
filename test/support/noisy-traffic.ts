import { readFileSync, writeFileSync } from 'node:fs';
import type { SimulatedCluster } from '../../scheduler/simulate/cluster.ts';
import { localShare } from '../../scheduler/simulate/measures.ts';
import { Moment } from '../../scheduler/simulate/moment.ts';
import { randomOf, seedWords, type Random } from '../../scheduler/simulate/random.ts';

/** Box and Muller (1958). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}

/**
 * Writes a traffic file, or a dataset like M3, with the same rows, each with a rate that is off by a log-normal factor.
 * @param sigma of the factor's logarithm
 */
export function disturb(path: string, into: string, sigma: number, seed: number): void {
  const random = randomOf(seedWords(seed), 7);
  const factor = (): number => Math.exp(sigma * normal(random));
  const text = readFileSync(path, 'utf8');
  if (!path.endsWith('.json')) {
    const [head, ...rows] = text.trimEnd().split('\n');
    // The rates are the columns that are numbers.
    const noisy = rows.map((row) => {
      const off = factor();
      return row
        .split(',')
        .map((cell) => (cell !== '' && Number.isFinite(Number(cell)) ? String(Number(cell) * off) : cell))
        .join(',');
    });
    writeFileSync(into, [head, ...noisy, ''].join('\n'));
    return;
  }
  const dataset = JSON.parse(text) as { TrafficList: { Traffic: number }[] };
  for (const row of dataset.TrafficList) row.Traffic *= factor();
  writeFileSync(into, JSON.stringify(dataset));
}

/** Percent of the traffic of `cluster` that stays on a node, with its pods where `nodeOf` says. */
export function worth(cluster: SimulatedCluster, nodeOf: Int32Array): number {
  const moment = new Moment(cluster);
  for (const [pod, node] of nodeOf.entries()) if (node >= 0) moment.place(pod, node);
  return 100 * localShare(cluster, moment.live, 'balanced').node;
}
