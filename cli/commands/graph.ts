import type { CounterEdge, Counters } from '../../scheduler/graph/counters.ts';
import type { EdgeView } from '../../scheduler/graph/edge-views.ts';
import type { EdgesReply, StatusReply } from '../../scheduler/api/replies.ts';
import {
  humanBitrate,
  humanBytes,
  humanCount,
  humanDuration,
  humanShare,
  printResult,
  renderTable,
  type Column,
  type TextStyle,
} from '../../lib/output/index.ts';
import { askApi } from '../api-client.ts';
import { defineCommand } from '../command.ts';
import { commonNamespace, emptyText, endText, type End } from '../endpoint-text.ts';
import { exportGraph } from '../graph-export.ts';
import { lossSentences } from '../loss-text.ts';
import { schedulingText } from '../scheduling-text.ts';
import { clientSection } from '../options/client.ts';
import { outputOptions } from '../options/common.ts';
import { edgeFilterOptions } from '../options/edge-filter.ts';
import { warningLines } from '../warning-text.ts';

export default defineCommand({
  name: 'graph',
  summary: 'show who talks to whom, and how much',
  description: [
    'Shows the traffic graph that a running scheduler has learned: edges from client to server, heaviest first. ' +
      'OUT is what the client sent, IN what it got; payload, without headers. Rates are averages with a half-life of ' +
      '10 minutes; `-o wide` adds those of 24 hours, which placement uses.',
  ],
  examples: [
    { text: 'The heaviest edges.', command: 'netloom graph' },
    { text: 'Pods of one namespace, exact figures.', command: 'netloom graph --by pod --namespace shop -o json' },
    { text: 'Payload since the start.', command: 'netloom graph --counters' },
    { text: 'Files for `netloom scheduler --snapshot --traffic`.', command: 'netloom graph --export ./my-cluster' },
  ],
  section: clientSection,
  flags: {
    counters: {
      type: 'bool',
      help: 'Cumulative payload since the start instead of rates, and what was lost. All edges.',
      group: 'What to show',
      configurable: false,
    },
    export: {
      type: 'path',
      placeholder: 'DIR',
      help: 'Write snapshot.json and traffic.csv into this folder.',
      group: 'What to show',
      configurable: false,
    },
    ...edgeFilterOptions,
    ...outputOptions,
  },
  async run({ options, stdout, environment }) {
    if (options.export !== undefined) {
      const written = await exportGraph(options, options.export);
      stdout.write(written.map((file) => `wrote ${file}\n`).join(''));
      return 0;
    }
    if (options.counters) {
      const reply = await askApi<Counters>(options, '/v1/counters', { by: options.by });
      await printResult(stdout, options.output, environment, {
        data: reply,
        text: (style) => countersText(reply, style),
      });
      return 0;
    }
    const { by, namespace, name, limit } = options;
    const [reply, status] = await Promise.all([
      askApi<EdgesReply>(options, '/v1/edges', { by, namespace, name, limit }),
      askApi<StatusReply>(options, '/v1/status'),
    ]);
    await printResult(stdout, options.output, environment, {
      data: { ...reply, kubeScheduler: status.kubeScheduler, problems: status.cluster.problems },
      text: (style) =>
        edgesText(reply, { ...style, empty: emptyText(options) }) + schedulingText(status, Date.now(), style),
    });
    return 0;
  },
});

function ends<Edge extends { readonly client: End; readonly server: End }>(edges: readonly Edge[]): Column<Edge>[] {
  const namespace = commonNamespace(edges.flatMap((edge) => [edge.client, edge.server]));
  return [
    { header: 'CLIENT', cell: (edge) => endText(edge.client, namespace), shrink: true, minWidth: 12 },
    { header: 'SERVER', cell: (edge) => endText(edge.server, namespace), shrink: true, minWidth: 12 },
  ];
}

const bits = (bytesPerSecond: number): string => humanBitrate(bytesPerSecond * 8);
const micros = (us: number | undefined): string => (us === undefined ? '-' : humanDuration(us / 1000));

function edgesText(reply: EdgesReply, style: TextStyle & { readonly empty: string }): string {
  const columns: Column<EdgeView>[] = [
    ...ends(reply.edges),
    { header: 'OUT', cell: (edge) => bits(edge.short.out) },
    { header: 'IN', cell: (edge) => bits(edge.short.in) },
    { header: 'OUT 24H', cell: (edge) => bits(edge.long.out), wide: true },
    { header: 'IN 24H', cell: (edge) => bits(edge.long.in), wide: true },
    { header: 'RTT', cell: (edge) => micros(edge.minRttUs) },
    { header: 'SMOOTHED', cell: (edge) => micros(edge.smoothedRttUs), wide: true },
    { header: 'CONN', cell: (edge) => humanCount(edge.connections), wide: true },
    { header: 'RETRANS', cell: (edge) => humanCount(edge.retransmits), wide: true },
    { header: 'PORTS', cell: (edge) => edge.ports.join(','), align: 'left', wide: true },
    { header: 'SEEN BY', cell: (edge) => edge.reporter ?? edge.view, wide: true },
    {
      header: 'SURE',
      cell: (edge) => humanShare(edge.confidence),
      role: (edge) => (edge.confidence < 0.5 ? 'warning' : undefined),
    },
    { header: 'BECAUSE', cell: (edge) => edge.reasons.join('; '), align: 'left', wide: true },
  ];
  const table = renderTable(columns, reply.edges, style);
  const namespace = commonNamespace(reply.edges.flatMap((edge) => [edge.client, edge.server]));
  const notes = [
    ...(namespace === undefined || reply.edges.length === 0 ? [] : [`All in namespace ${namespace}.`]),
    ...(reply.omitted === 0
      ? []
      : [`${humanCount(reply.omitted)} more edges with ${bits(reply.omittedBytesPerSecond)}: --limit shows more.`]),
  ];
  return warningLines(reply.warnings, style) + table + notes.map((note) => `${style.paint('dim', note)}\n`).join('');
}

function countersText(reply: Counters, style: TextStyle): string {
  const edges = [...reply.edges].sort((a, b) => b.bytesOut + b.bytesIn - a.bytesOut - a.bytesIn);
  const columns: Column<CounterEdge>[] = [
    ...ends(edges),
    { header: 'PROTO', cell: (edge) => edge.proto, wide: true },
    { header: 'FAMILY', cell: (edge) => edge.family, wide: true },
    { header: 'OUT', cell: (edge) => humanBytes(edge.bytesOut) },
    { header: 'IN', cell: (edge) => humanBytes(edge.bytesIn) },
    { header: 'CONN', cell: (edge) => humanCount(edge.connections) },
    { header: 'RETRANS', cell: (edge) => humanCount(edge.retransmits), wide: true },
  ];
  const table = renderTable(columns, edges, { ...style, empty: 'no traffic was counted yet' });
  const losses = lossSentences(reply.lost);
  const notes = losses.length === 0 ? ['Nothing was lost.'] : losses;
  return table + notes.map((note) => `${style.paint(losses.length === 0 ? 'dim' : 'warning', note)}\n`).join('');
}
