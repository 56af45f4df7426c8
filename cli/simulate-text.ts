import {
  humanBytes,
  humanCount,
  humanShare,
  renderTable,
  wrapText,
  type Column,
  type TextStyle,
} from '../lib/output/index.ts';
import type { PolicyReport, SimulationReport } from '../scheduler/simulate/report.ts';
import type { Outcome } from '../scheduler/simulate/simulate.ts';

const DAY_SECONDS = 86_400;
const MONTH_DAYS = 30;
/** Clouds bill by 10^9 bytes. */
const GB = 1e9;
const DEFAULT_WIDTH = 80;

const ORDER_TEXT: Readonly<Record<SimulationReport['options']['order'], string>> = {
  random: 'all pods arrive in random order',
  rollout: 'workloads roll out one after the other, in random order',
  churn: 'every pod is replaced once, in random order',
  'as-is': 'pods arrive as the snapshot lists them',
  file: 'pods arrive as the file says',
};

const ROUTING_TEXT: Readonly<Record<SimulationReport['options']['routing'], string>> = {
  random: 'random routing',
  balanced: 'balanced routing',
  'same-node': 'PreferSameNode',
};

/** A state of the cluster that is shown as a column: as it is, or under a policy. */
interface Shown {
  readonly title: string;
  readonly mean: Outcome;
  readonly deviation: Outcome | undefined;
}

interface Row {
  readonly title: string;
  readonly cells: readonly string[];
  readonly wide?: boolean;
}

/** The report for people: what was simulated, before and after, and what it means. Pure. */
export function simulationText(
  report: SimulationReport,
  options: { readonly price: number | undefined },
  style: TextStyle,
): string {
  const width = Math.max(40, Math.min(style.width ?? DEFAULT_WIDTH, 100));
  const policies = report.policies ?? [report as PolicyReport];
  const shown: Shown[] = [
    ...(report.current === null ? [] : [{ title: 'NOW', mean: report.current, deviation: undefined }]),
    ...policies.map(({ policy, mean, standardDeviation, seeds }) => ({
      title: policy === 'netloom-plan' ? 'WITH A PLAN' : policy.toUpperCase(),
      mean,
      deviation: seeds.length > 1 ? standardDeviation : undefined,
    })),
  ];
  const rows = rowsOf(report, shown, options.price).filter((row) => style.wide || row.wide !== true);
  const columns: Column<Row>[] = [
    { header: '', cell: (row) => row.title },
    ...shown.map(({ title }, i): Column<Row> => ({ header: title, cell: (row) => row.cells[i], align: 'right' })),
  ];
  const paragraphs = [...head(report), '', renderTable(columns, rows, style).trimEnd(), ''];
  const words = report.policies === undefined ? [] : sentences(report, options.price);
  return (
    paragraphs.flatMap((text) => (text.includes('\n') ? [text] : wrapText(text, width))).join('\n') +
    '\n' +
    words
      .flatMap((text) => wrapText(text, width))
      .map((line) => `${line}\n`)
      .join('')
  );
}

function head({ cluster, options }: SimulationReport): string[] {
  const { nodes, workloads, pods, fixedPods, pairs } = cluster;
  const fixed = fixedPods === 0 ? '' : `, ${humanCount(fixedPods)} that stay`;
  const runs = options.seeds === 1 ? 'one run' : `${humanCount(options.seeds)} runs, mean ± standard deviation`;
  return [
    `${humanCount(nodes)} nodes, ${humanCount(workloads)} workloads, ${humanCount(pods)} pods to place${fixed}; ` +
      `${humanCount(pairs)} pairs of workloads talk.`,
    `In the simulation ${ORDER_TEXT[options.order]} (${runs}).`,
  ];
}

function rowsOf(report: SimulationReport, shown: readonly Shown[], price: number | undefined): Row[] {
  const { cluster, options } = report;
  const row = (title: string, cell: (state: Shown) => string, wide = false): Row => ({
    title,
    cells: shown.map(cell),
    wide,
  });
  const share = (title: string, pick: (of: Outcome) => number, wide = false): Row =>
    row(
      title,
      ({ mean, deviation }) => shareText(pick(mean), deviation === undefined ? undefined : pick(deviation)),
      wide,
    );
  const zoned = cluster.zones > 1;
  const routing = ROUTING_TEXT[options.routing];
  const rows = [share('could stay on the node', (of) => of.localShare.node)];
  if (zoned) rows.push(share('could stay in the zone', (of) => of.localShare.zone));
  if (cluster.regions > 1) rows.push(share('could stay in the region', (of) => of.localShare.region));
  if (options.routing !== 'balanced') {
    rows.push(share(`on the node, ${routing}`, (of) => of.routedShare.node));
    if (zoned) rows.push(share(`in the zone, ${routing}`, (of) => of.routedShare.zone, true));
  }
  const between = (state: Shown): number | null => state.mean.crossZoneBytesPerSecond;
  if (zoned && shown.every((state) => between(state) !== null)) {
    rows.push(row('between zones, a day', (state) => humanBytes(between(state)! * DAY_SECONDS)));
    if (price !== undefined)
      rows.push(row('price of that, a month', (state) => money(monthly(between(state)!, price))));
  }
  if (shown.every((state) => state.mean.linkUse !== null)) {
    rows.push(share('use of links, mean', (of) => of.linkUse?.mean ?? 0));
    rows.push(share('use of links, 95th percentile', (of) => of.linkUse?.p95 ?? 0, true));
    rows.push(share('use of links, busiest', (of) => of.linkUse?.max ?? 0));
  }
  rows.push(share('replicas on one node, mean', (of) => of.spread.mean));
  rows.push(share('replicas on one node, most', (of) => of.spread.max, true));
  rows.push(row('pods without a place', (state) => humanCount(Number(state.mean.unplaced.toFixed(1)))));
  return rows;
}

/** The answer to "what would Netloom save me?" */
function sentences(report: SimulationReport, price: number | undefined): string[] {
  const find = (name: string): Outcome | undefined => report.policies!.find(({ policy }) => policy === name)?.mean;
  const before = find('default');
  const unplanned = find('netloom');
  const after = find('netloom-plan') ?? unplanned;
  if (before === undefined || after === undefined || unplanned === undefined) return [];
  const { cluster, current } = report;
  if (cluster.pairs === 0) return ['No traffic between workloads is known, so there is nothing to bring together.'];
  const now = current === null ? '' : `, and ${humanShare(rounded(current.localShare.node))} as it is now`;
  const words = [
    `With Netloom ${humanShare(rounded(after.localShare.node))} of the traffic between workloads could stay on its ` +
      `node (${humanShare(rounded(unplanned.localShare.node))} before it has a plan), against ` +
      `${humanShare(rounded(before.localShare.node))} with kube-scheduler alone${now}.`,
  ];
  if (cluster.trafficHasUnits) {
    const saved = (after.localShare.node - before.localShare.node) * cluster.traffic * DAY_SECONDS;
    if (saved > 0) words.push(`That is ${humanBytes(saved)} a day which would not leave a node.`);
  }
  if (before.crossZoneBytesPerSecond !== null && after.crossZoneBytesPerSecond !== null && cluster.zones > 1) {
    const less = before.crossZoneBytesPerSecond - after.crossZoneBytesPerSecond;
    const bill = price === undefined ? '' : `: ${money(monthly(less, price))} a month at ${String(price)} per GB`;
    words.push(
      less > 0
        ? `Between zones it would be ${humanBytes(less * DAY_SECONDS)} a day less${bill}.`
        : `Between zones it would be ${humanBytes(-less * DAY_SECONDS)} a day more.`,
    );
  }
  const routed =
    `it would be ${humanShare(rounded(after.routedShare.node))} instead of ` +
    `${humanShare(rounded(before.routedShare.node))}.`;
  const near = 'What could stay does stay only if requests go to near replicas';
  switch (report.options.routing) {
    case 'random':
      words.push(
        `${near} (trafficDistribution: PreferSameNode on the Services). With kube-proxy's random choice ${routed}`,
      );
      break;
    case 'same-node':
      words.push(`${near}. With trafficDistribution: PreferSameNode on all Services ${routed}`);
      break;
    case 'balanced':
      words.push(`${near}, to all of them in equal parts.`);
  }
  return words;
}

function monthly(bytesPerSecond: number, price: number): number {
  return ((bytesPerSecond * DAY_SECONDS * MONTH_DAYS) / GB) * price;
}

function money(amount: number): string {
  return humanCount(Number(amount.toFixed(Math.abs(amount) >= 100 ? 0 : 2)));
}

/** Three decimals: more would tell of the one run and not of the cluster. */
function rounded(share: number): number {
  return Number(share.toFixed(3));
}

function shareText(mean: number, deviation: number | undefined): string {
  if (deviation === undefined) return `${(mean * 100).toFixed(1)} %`;
  return `${(mean * 100).toFixed(1)} ±${(deviation * 100).toFixed(1)} %`;
}
