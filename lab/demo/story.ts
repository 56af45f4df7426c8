import {
  humanBitrate,
  humanBytes,
  humanCount,
  humanShare,
  renderTable,
  type TextStyle,
} from '../../lib/output/index.ts';
import type { Crossing } from '../crossing.ts';
import type { LabState } from '../state.ts';
import type { ComparedEdge, Comparison } from './compare.ts';

/** Texts of the demo, each for a width of 80 columns unless `style` says otherwise. Pure. */

/** Error as a person reads it: `exact`, `0.02 %`. */
export function errorText(error: number): string {
  if (error === 0) return 'exact';
  if (!Number.isFinite(error)) return 'phantom';
  return error < 0.0001 ? '<0.01 %' : `${(error * 100).toFixed(2)} %`;
}

export function clusterText(state: LabState): string {
  const lines = state.nodes.map((n) => {
    const pods = state.pods.filter((p) => p.node === n.name).map((p) => p.workload);
    return wrap(`${n.name} (${n.zone}): ${pods.sort().join(', ') || 'empty'}`, 78, '  ');
  });
  return [
    wrap(
      `A cluster of ${state.nodes.length} nodes on this machine, each a network namespace, with ` +
        `${humanCount(state.pods.length)} pods of ${humanCount(state.scenario.workloads.length)} workloads ` +
        `(${state.scenario.name}) that talk over real sockets:`,
      80,
    ),
    ...lines,
    '',
  ].join('\n');
}

/** The learned graph beside the true matrix. `limit` rows are shown, the rest summed up. */
export function comparisonText(comparison: Comparison, style: TextStyle, limit = 16): string {
  const table = renderTable<ComparedEdge>(
    [
      { header: 'CLIENT', cell: (e) => e.client, shrink: true },
      { header: 'SERVER', cell: (e) => e.server, shrink: true },
      { header: 'TRUE', cell: (e) => humanBytes(e.trueOut + e.trueIn) },
      { header: 'LEARNED', cell: (e) => humanBytes(e.learnedOut + e.learnedIn) },
      { header: 'ERROR', cell: (e) => errorText(e.error) },
    ],
    comparison.edges.slice(0, limit),
    style,
  );
  const hidden = comparison.edges.slice(limit);
  const rest =
    hidden.length === 0
      ? []
      : [`and ${hidden.length} smaller edges, the worst with ${errorText(Math.max(...hidden.map((e) => e.error)))}`];
  return [table.trimEnd(), ...rest, comparisonSentence(comparison), ''].join('\n');
}

export function comparisonSentence(c: Comparison): string {
  const phantoms =
    c.phantoms.length === 0
      ? 'No edge was invented.'
      : `${c.phantoms.length} edges were learned that the generator did not make, first ` +
        `${c.phantoms[0]!.client.name} -> ${c.phantoms[0]!.server.name}.`;
  const worst =
    c.worstError === 0
      ? `All ${c.edges.length} edges are exact to the byte, in both directions.`
      : `Of ${c.edges.length} edges the worst is off by ${errorText(c.worstError)}, all bytes together by ` +
        `${errorText(c.totalError)}.`;
  return wrap(`${worst} ${phantoms}`, 80);
}

/** One entry of the extender's answer, as kube-scheduler receives it. */
export interface HostPriority {
  readonly Host: string;
  readonly Score: number;
}

/** What was asked, what was answered; nodes that the answer does not name score 0. */
export function answerText(workload: string, candidates: readonly string[], answer: readonly HostPriority[]): string {
  const scores = new Map(answer.map((h) => [h.Host, h.Score]));
  const rows = candidates
    .map((node) => ({ node, score: scores.get(node) ?? 0 }))
    .sort((a, b) => b.score - a.score || (a.node < b.node ? -1 : 1));
  const width = Math.max(0, ...candidates.map((n) => n.length));
  const lines = rows.map(({ node, score }) =>
    `  ${node.padEnd(width)}  ${String(score).padStart(3)}  ${'#'.repeat(Math.round(Math.min(80, score) / 2))}`.trimEnd(),
  );
  const sentence =
    answer.length === 0
      ? `Netloom has no opinion about a new ${workload} pod: kube-scheduler decides alone.`
      : `For a new ${workload} pod Netloom gives ${rows[0]!.node} the most points (of 80):`;
  return [wrap(sentence, 80), ...(answer.length === 0 ? [] : lines), ''].join('\n');
}

export interface Move {
  readonly workload: string;
  readonly from: string;
  readonly to: string;
}

export function movesText(moves: readonly Move[]): string {
  const moved = moves.filter((m) => m.from !== m.to);
  if (moved.length === 0) return 'Every pod is where the answers say already.\n';
  return [
    wrap(
      `${moves.length} pods were deleted and made again, each on the node that the extender named first of those ` +
        `with room; ${moved.length} of them came to another node:`,
      80,
    ),
    ...moved.map((m) => `  ${m.workload}: ${m.from} -> ${m.to}`),
    '',
  ].join('\n');
}

/** Before and after, both measured: at the pods' sockets, and again at the nodes' uplinks. */
export function crossingText(before: Crossing, after: Crossing): string {
  const rate = (c: Crossing, bytes: number): string =>
    humanBitrate(c.periodMs === 0 ? 0 : (bytes * 8 * 1000) / c.periodMs);
  const rows: [string, string, string][] = [
    ['', 'before', 'after'],
    ['traffic between pods', rate(before, before.payloadBytes), rate(after, after.payloadBytes)],
    ['of it between nodes', humanShare(before.nodeShare), humanShare(after.nodeShare)],
    ['of it between zones', humanShare(before.zoneShare), humanShare(after.zoneShare)],
    ['measured on the nodes’ uplinks', rate(before, before.fabricBytes), rate(after, after.fabricBytes)],
  ];
  const table = rows.map(([what, a, b]) => `  ${what.padEnd(32)}${a.padStart(14)}${b.padStart(14)}`.trimEnd());
  const sentence =
    after.nodeShare < before.nodeShare
      ? `Traffic that crosses nodes fell from ${humanShare(before.nodeShare)} to ${humanShare(after.nodeShare)} of all.`
      : `Traffic that crosses nodes did not fall: ${humanShare(before.nodeShare)} before, ${humanShare(after.nodeShare)} after.`;
  return [...table, sentence, ''].join('\n');
}

/** A pod whose bandwidth was limited for a while; payload that it received, bits a second. */
export interface Limited {
  readonly pod: string;
  readonly node: string;
  /** Value of the annotation. */
  readonly limit: string;
  readonly beforeBps: number;
  readonly heldBps: number;
  readonly afterBps: number;
}

/** What was done and what came of it, and by which means this kernel does it. */
export function limitedText(limited: Limited, { fq, state }: { readonly fq: boolean; readonly state: string }): string {
  const { pod, node, limit } = limited;
  const means = fq
    ? 'Its packets get departure times, which sch_fq heeds'
    : 'This kernel has no sch_fq, so HTB holds its packets back, with the same program as its queue manager';
  const rows: [string, number][] = [
    ['without a limit', limited.beforeBps],
    [`with ${limit}`, limited.heldBps],
    ['and without it again', limited.afterBps],
  ];
  return [
    wrap(
      `An agent with --enforce starts on ${node}. ${pod}, which receives most of all, gets the annotation ` +
        `kubernetes.io/ingress-bandwidth: ${limit}, and loses it again. ${means} (${state}).`,
      80,
    ),
    '',
    ...rows.map(([what, bps]) => `  ${what.padEnd(32)}${humanBitrate(bps).padStart(14)}`),
    wrap('That is payload, as the programs in the pods counted it; a limit is of the whole packet.', 80),
    '',
    '',
  ].join('\n');
}

/** Breaks at blanks; later lines begin with `indent` and two blanks more. */
export function wrap(text: string, width: number, indent = ''): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    const empty = line.trim() === '';
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent === '' ? word : `${indent}  ${word}`;
    } else {
      line = empty ? line + word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join('\n');
}
