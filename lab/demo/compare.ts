import type { TrueMatrix } from '../matrix.ts';

/** An edge as `netloom graph --counters -o json` prints it. */
export interface LearnedEdge {
  readonly client: { readonly kind: string; readonly namespace?: string; readonly name: string };
  readonly server: { readonly kind: string; readonly namespace?: string; readonly name: string };
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly connections: number;
}

export interface ComparedEdge {
  readonly client: string;
  readonly server: string;
  readonly trueOut: number;
  readonly trueIn: number;
  readonly learnedOut: number;
  readonly learnedIn: number;
  readonly trueConnections: number;
  readonly learnedConnections: number;
  /** The larger of both directions' |learned - true| / true, 0..; Infinity: learned where nothing was. */
  readonly error: number;
}

export interface Comparison {
  /** Largest first, by true bytes. */
  readonly edges: readonly ComparedEdge[];
  /** Learned edges that the generator never made: there must be none. */
  readonly phantoms: readonly LearnedEdge[];
  /** Of all edges with traffic. */
  readonly worstError: number;
  /** Of all bytes: sum of |learned - true| / sum of true. */
  readonly totalError: number;
}

/**
 * What was learned beside what is true. With `pauseTraffic()` before, both are complete; else they are read some
 * milliseconds apart and that shows as error. Pure.
 */
export function compareMatrix(truth: TrueMatrix, learned: readonly LearnedEdge[]): Comparison {
  const found = new Map<string, { out: number; in: number; connections: number }>();
  const known = new Set(truth.workloads.map((e) => `${e.client} ${e.server}`));
  const phantoms: LearnedEdge[] = [];
  for (const e of learned) {
    const key = `${e.client.name} ${e.server.name}`;
    const ours = known.has(key) && isWorkload(e.client, truth.namespace) && isWorkload(e.server, truth.namespace);
    if (!ours) {
      phantoms.push(e);
      continue;
    }
    const sum = found.get(key) ?? { out: 0, in: 0, connections: 0 };
    sum.out += e.bytesOut;
    sum.in += e.bytesIn;
    sum.connections += e.connections;
    found.set(key, sum);
  }
  let difference = 0;
  let total = 0;
  const edges = truth.workloads.map((e): ComparedEdge => {
    const { bytesOut: trueOut, bytesIn: trueIn, connections: trueConnections } = e.byServers;
    const f = found.get(`${e.client} ${e.server}`) ?? { out: 0, in: 0, connections: 0 };
    difference += Math.abs(f.out - trueOut) + Math.abs(f.in - trueIn);
    total += trueOut + trueIn;
    return {
      client: e.client,
      server: e.server,
      trueOut,
      trueIn,
      learnedOut: f.out,
      learnedIn: f.in,
      trueConnections,
      learnedConnections: f.connections,
      error: Math.max(relativeError(f.out, trueOut), relativeError(f.in, trueIn)),
    };
  });
  return {
    edges: edges.toSorted((a, b) => b.trueOut + b.trueIn - (a.trueOut + a.trueIn)),
    phantoms,
    worstError: edges.reduce((worst, e) => Math.max(worst, e.error), 0),
    totalError: total === 0 ? 0 : difference / total,
  };
}

function isWorkload(peer: LearnedEdge['client'], namespace: string): boolean {
  return peer.kind === 'Deployment' && peer.namespace === namespace;
}

function relativeError(learned: number, truth: number): number {
  if (learned === truth) return 0;
  return truth === 0 ? Infinity : Math.abs(learned - truth) / truth;
}
