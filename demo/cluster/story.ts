import { humanBitrate, humanShare, renderTable, type TextStyle } from '../../lib/output/index.ts';
import { wrap } from '../../lab/demo/index.ts';

/** Texts of the show, for 80 columns. Pure. */

export interface PlacedNode {
  readonly name: string;
  readonly zone: string;
  /** CPU requested there, 0..1 of what the node has. */
  readonly full: number;
  readonly workloads: readonly string[];
}

/** Bytes of all, 0..1. */
export interface Local {
  readonly node: number;
  readonly zone: number;
}

const BAR = 10;
const WIDTH = 80;

/** Zones, their nodes, how full each is, and what stands there. */
export function pictureText(nodes: readonly PlacedNode[], style: TextStyle): string {
  const lines: string[] = [];
  for (const zone of [...new Set(nodes.map((node) => node.zone))].sort()) {
    for (const [i, node] of nodes.filter((candidate) => candidate.zone === zone).entries()) {
      const filled = Math.round(node.full * BAR);
      const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}]`;
      const head = `  ${(i === 0 ? zone : '').padEnd(8)}${node.name}  ${bar}  `;
      const [first = '', ...more] = wrap(
        node.workloads.length === 0 ? '-' : [...node.workloads].sort().join(', '),
        WIDTH - head.length,
      ).split('\n');
      lines.push(head + style.paint('accent', first));
      for (const rest of more) lines.push(' '.repeat(head.length) + style.paint('accent', rest));
    }
  }
  return `${lines.join('\n')}\n`;
}

export function localText(local: Local): string {
  return (
    `Of all bytes between pods ${humanShare(local.node)} stay on a node, ` +
    `${humanShare(local.zone)} in a zone; the rest crosses zones.`
  );
}

export interface ReportedEdge {
  readonly client: string;
  readonly server: string;
  /** Bytes per second, both ways. */
  readonly reported: number;
  readonly learned: number | undefined;
}

/** The heaviest edges, what was reported beside what was learned. */
export function learnedText(edges: readonly ReportedEdge[], shown: number, style: TextStyle): string {
  const rate = (bytes: number | undefined): string => (bytes === undefined ? '-' : humanBitrate(bytes * 8));
  const sorted = [...edges].sort((a, b) => b.reported - a.reported);
  const table = renderTable<ReportedEdge>(
    [
      { header: 'CLIENT', cell: (edge) => edge.client, shrink: true },
      { header: 'SERVER', cell: (edge) => edge.server, shrink: true },
      { header: 'REPORTED', cell: (edge) => rate(edge.reported) },
      { header: 'LEARNED', cell: (edge) => rate(edge.learned) },
    ],
    sorted.slice(0, shown),
    style,
  );
  const rest = sorted.length - shown;
  return rest > 0 ? `${table}and ${rest} smaller ones\n` : table;
}

/** Shares side by side. */
export function beforeAfterText(before: Local, after: Local, crossing: number, style: TextStyle): string {
  const row = (what: string, a: string, b: string): string => `  ${what.padEnd(30)}${a.padStart(18)}${b.padStart(18)}`;
  const rate = (share: number): string => humanBitrate(crossing * 8 * (1 - share));
  return [
    style.paint('heading', row('', 'kube-scheduler', 'with Netloom')),
    row('stays on the node', humanShare(before.node), humanShare(after.node)),
    row('stays in the zone', humanShare(before.zone), humanShare(after.zone)),
    row('crosses nodes', rate(before.node), rate(after.node)),
    row('crosses zones', rate(before.zone), rate(after.zone)),
    '',
    after.node > before.node
      ? `Traffic that crosses nodes fell from ${rate(before.node)} to ${rate(after.node)}.`
      : `Traffic that crosses nodes did not fall: ${rate(before.node)} before, ${rate(after.node)} after.`,
    '',
  ].join('\n');
}

/** Lines that a program printed, none wider than the terminal; what goes on is indented. */
export function programText(printed: string, indent = '  '): string {
  return `${printed
    .trimEnd()
    .split('\n')
    .map((line) => {
      if (indent.length + line.length <= WIDTH) return indent + line;
      return wrap(line.trimStart(), WIDTH, indent + /^ */.exec(line)![0]);
    })
    .join('\n')}\n`;
}
