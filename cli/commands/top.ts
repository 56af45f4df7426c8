import type { AgentStatus } from '../../scheduler/graph/agent-status.ts';
import type { TopReply, WorkloadTraffic } from '../../scheduler/api/replies.ts';
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
import { commonNamespace, emptyText, endText } from '../endpoint-text.ts';
import { clientSection } from '../options/client.ts';
import { warningLines } from '../warning-text.ts';
import { outputOptions } from '../options/common.ts';
import { edgeFilterOptions } from '../options/edge-filter.ts';

export default defineCommand({
  name: 'top',
  summary: 'show the heaviest workloads or pods, and the nodes with their links',
  description: [
    'Shows what moves most just now (averages with a half-life of 10 minutes), and for every node its uplinks, ' +
      'the state of its agent and what measuring costs there.',
  ],
  examples: [
    { text: 'Workloads and nodes.', command: 'netloom top' },
    { text: 'The ten heaviest pods of a namespace.', command: 'netloom top --by pod -n shop --limit 10' },
  ],
  section: clientSection,
  flags: { ...edgeFilterOptions, ...outputOptions },
  async run({ options, stdout, environment }) {
    const { by, namespace, name, limit } = options;
    const reply = await askApi<TopReply>(options, '/v1/top', { by, namespace, name, limit });
    await printResult(stdout, options.output, environment, {
      data: reply,
      text: (style) => topText(reply, { ...style, empty: emptyText(options) }),
    });
    return 0;
  },
});

const bits = (bytesPerSecond: number): string => humanBitrate(bytesPerSecond * 8);

function topText(reply: TopReply, style: TextStyle & { readonly empty: string }): string {
  const namespace = commonNamespace(reply.workloads);
  const workloads: Column<WorkloadTraffic>[] = [
    {
      header: namespace === undefined ? reply.by.toUpperCase() : `${reply.by.toUpperCase()} IN ${namespace}`,
      cell: (end) => endText(end, namespace),
      shrink: true,
      minWidth: 16,
    },
    { header: 'SENT', cell: (end) => bits(end.sent) },
    { header: 'RECEIVED', cell: (end) => bits(end.received) },
    { header: 'SENT 24H', cell: (end) => bits(end.sentLong), wide: true },
    { header: 'RECEIVED 24H', cell: (end) => bits(end.receivedLong), wide: true },
    { header: 'PEERS', cell: (end) => humanCount(end.peers) },
    { header: 'CONN', cell: (end) => humanCount(end.connections) },
    { header: 'RETRANS', cell: (end) => humanCount(end.retransmits), wide: true },
  ];
  const agents: Column<AgentStatus>[] = [
    { header: 'NODE', cell: (agent) => agent.node, shrink: true },
    {
      header: 'AGENT',
      cell: (agent) => agent.state,
      role: (agent) => (agent.state === 'reporting' ? 'good' : agent.state === 'silent' ? 'bad' : 'warning'),
    },
    { header: 'TX', cell: (agent) => linkRate(agent, 'tx') },
    { header: 'RX', cell: (agent) => linkRate(agent, 'rx') },
    { header: 'OF LINK', cell: (agent) => linkShare(agent) },
    { header: 'LOST', cell: (agent) => (agent.lossShare > 0 ? humanShare(agent.lossShare) : '-') },
    { header: 'CPU', cell: (agent) => cpuText(agent) },
    { header: 'RSS', cell: (agent) => humanBytes(agent.lastCost?.rssBytes ?? agent.cost.rssBytes), wide: true },
    { header: 'UPLINKS', cell: (agent) => agent.uplinks.map(linkText).join(','), align: 'left', wide: true },
    { header: 'REPORTS', cell: (agent) => humanCount(agent.reports), wide: true },
    { header: 'INTERVAL', cell: (agent) => humanDuration(agent.intervalMs), wide: true },
    { header: 'VERSION', cell: (agent) => agent.version, wide: true },
  ];
  const more = reply.omitted === 0 ? '' : `${style.paint('dim', `${humanCount(reply.omitted)} more: --limit`)}\n`;
  return (
    warningLines(reply.warnings, style) +
    renderTable(workloads, reply.workloads, style) +
    more +
    '\n' +
    renderTable(agents, reply.agents, { ...style, empty: 'no agent has reported yet' })
  );
}

type Link = AgentStatus['uplinks'][number];

function linkRate({ uplinks }: AgentStatus, way: 'tx' | 'rx'): string {
  return uplinks.length === 0 ? '-' : bits(uplinks.reduce((sum, link) => sum + link[`${way}BytesPerSecond`], 0));
}

/** Of the fuller direction of the fullest link whose speed is known. */
function linkShare({ uplinks }: AgentStatus): string {
  const shares = uplinks
    .filter((link) => link.speedBps > 0)
    .map((link) => (Math.max(link.txBytesPerSecond, link.rxBytesPerSecond) * 8) / link.speedBps);
  return shares.length === 0 ? '-' : humanShare(Math.max(...shares));
}

function linkText({ name, speedBps }: Link): string {
  return speedBps > 0 ? `${name} (${humanBitrate(speedBps)})` : name;
}

function cpuText({ lastCost, lastPeriodMs }: AgentStatus): string {
  if (lastCost === undefined || lastPeriodMs === 0) return '-';
  return humanShare((lastCost.cpuUs + lastCost.bpfRunNs / 1000) / (lastPeriodMs * 1000));
}
