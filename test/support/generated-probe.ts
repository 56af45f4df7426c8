import { TRAFFIC_HEADER } from '../../scheduler/cluster/traffic.ts';
import type { GeneratedCluster } from './generate-cluster.ts';
import { podObject } from './kubectl-objects.ts';
import type { SchedulerProcess } from './netloom.ts';

/** A question to which the generated cluster has one answer: a client with traffic to workloads of one pod each. */
export interface Probe {
  /** A new pod of a Deployment, as kube-scheduler sends it. */
  readonly pod: object;
  readonly traffic: string;
  /** Nodes of the two peers: most of the traffic goes to the first. */
  readonly nearest: string;
  readonly second: string;
}

/** After the text was written. */
export function probeOf(cluster: GeneratedCluster): Probe {
  const single = [...cluster.placed].filter(([key, on]) => key.includes('/StatefulSet/') && sumOf(on) === 1);
  const nodeOf = (on: ReadonlyMap<string, number>): string => [...on.keys()][0]!;
  const zoneOf = (name: string): string => cluster.nodes.find((node) => node.name === name)!.zone;
  const [heavy, heavyOn] = single[0]!;
  // In another zone, so that its node is the best where the first zone is no candidate.
  const [light, lightOn] = single.find(([, on]) => zoneOf(nodeOf(on)) !== zoneOf(nodeOf(heavyOn)))!;
  const client = [...cluster.placed.keys()].find((key) => key.includes('/Deployment/'))!;
  const [namespace, , app] = client.split('/') as [string, string, string];
  const row = (peer: string, out: number, back: number) =>
    `${[client, peer].join('/').replaceAll('/', ',')},${out},${back}`;
  return {
    pod: podObject({
      namespace,
      name: `${app}-7d967dfd5d-zzzzz`,
      app,
      labels: { 'pod-template-hash': '7d967dfd5d' },
      owner: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${app}-7d967dfd5d` },
      phase: 'Pending',
    }),
    traffic: `${TRAFFIC_HEADER}\n${row(heavy, 3_000_000, 9_000_000)}\n${row(light, 500_000, 1_500_000)}\n`,
    nearest: nodeOf(heavyOn),
    second: nodeOf(lightOn),
  };
}

/** The node with the greatest score; undefined where two share it, or without an answer. */
export async function best(
  scheduler: SchedulerProcess,
  pod: object,
  candidates: readonly { readonly name: string }[],
): Promise<string | undefined> {
  const scores = await scheduler.prioritize(
    pod,
    candidates.map(({ name }) => name),
  );
  const [first, next] = scores.sort((a, b) => b.Score - a.Score);
  return first !== undefined && first.Score > (next?.Score ?? 0) ? first.Host : undefined;
}

function sumOf(on: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const pods of on.values()) sum += pods;
  return sum;
}
