import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { linkUse } from '../../scheduler/simulate/link-use.ts';
import { localShare, ROUTINGS } from '../../scheduler/simulate/measures.ts';
import { Moment } from '../../scheduler/simulate/moment.ts';
import { placeAsTheyAre } from '../../scheduler/simulate/replay.ts';
import { arbitraryCluster, type ClusterInput } from './arbitrary-cluster.ts';

interface Twin {
  readonly shares: Record<string, number>;
  readonly use: number[];
}

/** The same from the records, by the definitions (placement-study.md §1). */
function twin({ records, rows }: ClusterInput): Twin {
  const nodes = records.filter((record) => record.type === 'node').sort((a, b) => (a.name < b.name ? -1 : 1));
  const pods = records.filter((record) => record.type === 'pod' && record.phase !== 'Succeeded');
  const workloads = new Map<string, Map<string, number>>();
  const replicas = new Map<string, number>();
  for (const pod of pods) {
    if (pod.type !== 'pod') continue;
    const key = `${pod.owner?.kind ?? 'Pod'}/${pod.owner?.name ?? pod.name}`;
    const there = nodes.some((node) => node.name === pod.node);
    // A DaemonSet's pod that is nowhere is nobody's choice.
    if (pod.owner?.kind === 'DaemonSet' && !there) continue;
    replicas.set(key, (replicas.get(key) ?? 0) + 1);
    if (!workloads.has(key)) workloads.set(key, new Map());
    if (there) workloads.get(key)!.set(pod.node!, (workloads.get(key)!.get(pod.node!) ?? 0) + 1);
  }
  const app = [...workloads.keys()].filter((key) =>
    pods.some(
      (pod) =>
        pod.type === 'pod' &&
        `${pod.owner?.kind ?? 'Pod'}/${pod.owner?.name ?? pod.name}` === key &&
        pod.labels['app'] === 'w0',
    ),
  );
  const isKnown = ({ kind, name }: { kind: string; name: string }): boolean =>
    kind === 'External' ||
    kind === 'Service' ||
    workloads.has(`${kind}/${name}`) ||
    records.some(
      (record) =>
        record.type === 'pod' && (record.owner?.kind ?? 'Pod') === kind && (record.owner?.name ?? record.name) === name,
    );
  const sent = new Map(nodes.map((node) => [node.name, 0]));
  const received = new Map(nodes.map((node) => [node.name, 0]));
  const sums: Record<string, number> = {};
  let total = 0;
  const add = (to: Map<string, number>, node: string, amount: number): void =>
    void to.set(node, to.get(node)! + amount);
  const x = (key: string, of: (node: (typeof nodes)[number]) => string): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const [name, count] of workloads.get(key)!) {
      const domain = of(nodes.find((node) => node.name === name)!);
      counts.set(domain, (counts.get(domain) ?? 0) + count / replicas.get(key)!);
    }
    return counts;
  };
  for (const { client, peer, bytesPerSecondOut, bytesPerSecondIn } of rows) {
    if (!isKnown(client) || !isKnown(peer)) continue;
    const from = `${client.kind}/${client.name}`;
    const servers =
      peer.kind === 'Service' ? app : workloads.has(`${peer.kind}/${peer.name}`) ? [`${peer.kind}/${peer.name}`] : [];
    if (!workloads.has(from) || servers.length === 0) {
      if (workloads.has(from)) {
        for (const [node, share] of x(from, (one) => one.name)) {
          add(sent, node, share * bytesPerSecondOut);
          add(received, node, share * bytesPerSecondIn);
        }
      }
      for (const server of servers) {
        for (const [node, share] of x(server, (one) => one.name)) {
          add(sent, node, (share * bytesPerSecondIn) / servers.length);
          add(received, node, (share * bytesPerSecondOut) / servers.length);
        }
      }
      continue;
    }
    for (const server of servers) {
      if (server === from) continue;
      const weight = (bytesPerSecondOut + bytesPerSecondIn) / servers.length;
      total += weight;
      for (const [level, of] of Object.entries({
        node: (node: (typeof nodes)[number]) => node.name,
        zone: (node: (typeof nodes)[number]) => node.zone ?? `alone ${node.name}`,
        region: (node: (typeof nodes)[number]) => node.region ?? `alone ${node.zone ?? node.name}`,
      })) {
        const [a, b] = [x(from, of), x(server, of)];
        for (const [domain, share] of a) {
          const other = b.get(domain) ?? 0;
          const meet = { balanced: Math.min(share, other), random: share * other, 'same-node': other > 0 ? share : 0 };
          for (const routing of ROUTINGS) {
            sums[`${routing} ${level}`] = (sums[`${routing} ${level}`] ?? 0) + weight * meet[routing];
          }
        }
      }
      const [a, b] = [x(from, (node) => node.name), x(server, (node) => node.name)];
      for (const { name } of nodes) {
        const local = Math.min(a.get(name) ?? 0, b.get(name) ?? 0);
        const clientRest = (a.get(name) ?? 0) - local;
        const serverRest = (b.get(name) ?? 0) - local;
        const [out, back] = [bytesPerSecondOut / servers.length, bytesPerSecondIn / servers.length];
        add(sent, name, out * clientRest + back * serverRest);
        add(received, name, back * clientRest + out * serverRest);
      }
    }
  }
  const shares = Object.fromEntries(
    ROUTINGS.flatMap((routing) =>
      ['node', 'zone', 'region'].map((level) => {
        const key = `${routing} ${level}`;
        return [key, total === 0 ? 1 : (sums[key] ?? 0) / total];
      }),
    ),
  );
  const use = nodes
    .filter((node) => node.linkMbps !== undefined)
    .map((node) => (Math.max(sent.get(node.name)!, received.get(node.name)!) * 8) / (node.linkMbps! * 1e6))
    .sort((a, b) => a - b);
  return { shares, use };
}

describe('measures', () => {
  it('equal those of a naive twin', () => {
    fc.assert(
      fc.property(arbitraryCluster, (input) => {
        const cluster = clusterOf(input.records, input.rows, { maxReplicaShare: 1, hasUnits: true });
        const moment = new Moment(cluster);
        placeAsTheyAre(moment);
        const { shares, use } = twin(input);
        for (const routing of ROUTINGS) {
          const got = localShare(cluster, moment.live, routing);
          for (const level of ['node', 'zone', 'region'] as const) {
            expect(got[level]).toBeCloseTo(shares[`${routing} ${level}`]!, 9);
          }
        }
        const got = linkUse(cluster, moment.live);
        expect(got === undefined).toBe(use.length === 0);
        if (got === undefined) return;
        expect(got.max).toBeCloseTo(use.at(-1)!, 9);
        expect(got.mean).toBeCloseTo(use.reduce((sum, share) => sum + share, 0) / use.length, 9);
        expect(got.p95).toBeCloseTo(use[Math.ceil(0.95 * use.length) - 1]!, 9);
      }),
      { numRuns: 400, seed: 4 },
    );
  });
});
