import {
  cellText,
  counted,
  displayWidth,
  humanBytes,
  humanCount,
  humanShare,
  plainPaint,
  renderTable,
  wrapText,
  type Column,
  type TextStyle,
} from '../lib/output/index.ts';
import type { InputProblem } from '../scheduler/simulate/input-problems.ts';
import type { PolicyReport, SimulationReport } from '../scheduler/simulate/report.ts';
import type { Outcome } from '../scheduler/simulate/simulate.ts';

const DAY_SECONDS = 86_400;
const MONTH_DAYS = 30;
/** Clouds bill by 10^9 bytes. */
const GB = 1e9;
const DEFAULT_WIDTH = 80;

const PROBLEM_TEXT: Readonly<Record<InputProblem['problem'], (count: number) => string>> = {
  'object-unusable': (count) => `${counted(count, 'object')} of the snapshot cannot be used`,
  'object-field': (count) => `${counted(count, 'object')} of the snapshot ${are(count)} used but for a field`,
  'traffic-unknown': (count) => `${counted(count, 'row')} of traffic ${are(count)} left out`,
  'traffic-deserted': (count) =>
    `${counted(count, 'row')} of traffic ${count === 1 ? 'names' : 'name'} a Service without pods, and ` +
    `${count === 1 ? 'counts' : 'count'} as traffic with the outside`,
};

function are(count: number): string {
  return count === 1 ? 'is' : 'are';
}

/** What of the input was not used as it stands: how many, and the first ones a line each. Pure. */
export function inputProblemsText(problems: readonly InputProblem[]): string {
  return problems
    .map(({ problem, count, samples }) => {
      const shown = samples.slice(0, MAX_SAMPLES).map((sample) => `  ${cellText(sample)}\n`);
      const more = count > shown.length ? `  and ${humanCount(count - shown.length)} more\n` : '';
      return `${PROBLEM_TEXT[problem](count)}:\n${shown.join('')}${more}`;
    })
    .join('');
}

const MAX_SAMPLES = 5;

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

/**
 * The report for people: what was simulated, before and after, and what it means. Pure.
 * @param options price of a GB between zones; whether plans are on by default
 */
export function simulationText(
  report: SimulationReport,
  options: { readonly price: number | undefined; readonly planned: boolean },
  style: TextStyle,
): string {
  const width = Math.max(40, Math.min(style.width ?? DEFAULT_WIDTH, 100));
  const policies = report.policies ?? [report as PolicyReport];
  const all: Shown[] = [
    ...(report.current === null ? [] : [{ title: 'NOW', mean: report.current, deviation: undefined }]),
    ...policies.map(({ policy, mean, standardDeviation, seeds }) => ({
      title: policy === 'netloom-plan' ? 'WITH A PLAN' : policy.toUpperCase(),
      mean,
      deviation: seeds.length > 1 ? standardDeviation : undefined,
    })),
  ];
  const shown = fitting(report, all, options.price, style);
  const deviates = shown.some(({ deviation }) => deviation !== undefined);
  const paragraphs = [...head(report, deviates), '', table(report, shown, options.price, style), ''];
  const words = [
    ...unplacedWords(report, policies),
    ...(report.policies === undefined ? [] : sentences(report, options)),
    ...fullLinks(shown),
  ];
  return (
    paragraphs.flatMap((text) => (text.includes('\n') ? [text] : wrapText(text, width))).join('\n') +
    '\n' +
    words
      .flatMap((text) => wrapText(text, width))
      .map((line) => `${line}\n`)
      .join('')
  );
}

function table(report: SimulationReport, shown: readonly Shown[], price: number | undefined, style: TextStyle): string {
  const rows = rowsOf(report, shown, price).filter((row) => style.wide || row.wide !== true);
  const columns: Column<Row>[] = [
    { header: '', cell: (row) => row.title, shrink: true, minWidth: 12 },
    ...shown.map(({ title }, i): Column<Row> => ({ header: title, cell: (row) => row.cells[i], align: 'right' })),
  ];
  return renderTable(columns, rows, style).trimEnd();
}

/** Without deviations where these make the table wider than the terminal. */
function fitting(
  report: SimulationReport,
  shown: readonly Shown[],
  price: number | undefined,
  { wide, width }: TextStyle,
): readonly Shown[] {
  const whole = table(report, shown, price, { wide, width: undefined, paint: plainPaint });
  const fits = width === undefined || whole.split('\n').every((line) => displayWidth(line) <= width);
  return fits ? shown : shown.map((state) => ({ ...state, deviation: undefined }));
}

function head({ cluster, options }: SimulationReport, deviates: boolean): string[] {
  const { nodes, workloads, pods, fixedPods, pairs } = cluster;
  const fixed = fixedPods === 0 ? '' : `, ${humanCount(fixedPods)} that ${fixedPods === 1 ? 'stays' : 'stay'}`;
  const mean = deviates ? 'mean ± standard deviation' : 'mean';
  const runs = options.seeds === 1 ? 'one run' : `${humanCount(options.seeds)} runs, ${mean}`;
  return [
    `${counted(nodes, 'node')}, ${counted(workloads, 'workload')}, ${counted(pods, 'pod')} to place${fixed}; ` +
      `${counted(pairs, 'pair of workloads talks', 'pairs of workloads talk')}.`,
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
  const ofTraffic = cluster.pairs === 0 ? (title: string): Row => row(title, () => 'no traffic') : share;
  const zoned = cluster.zones > 1;
  const routing = ROUTING_TEXT[options.routing];
  const rows = [ofTraffic('could stay on the node', (of) => of.localShare.node)];
  if (zoned) rows.push(ofTraffic('could stay in the zone', (of) => of.localShare.zone));
  if (cluster.regions > 1) rows.push(ofTraffic('could stay in the region', (of) => of.localShare.region));
  if (options.routing !== 'balanced') {
    rows.push(ofTraffic(`on the node, ${routing}`, (of) => of.routedShare.node));
    if (zoned) rows.push(ofTraffic(`in the zone, ${routing}`, (of) => of.routedShare.zone, true));
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
function sentences(
  report: SimulationReport,
  { price, planned }: { readonly price: number | undefined; readonly planned: boolean },
): string[] {
  const find = (name: string): Outcome | undefined => report.policies!.find(({ policy }) => policy === name)?.mean;
  const before = find('default');
  const unplanned = find('netloom');
  const withPlan = find('netloom-plan');
  if (before === undefined || unplanned === undefined || withPlan === undefined) return [];
  const { cluster, current } = report;
  if (cluster.pairs === 0) {
    return [
      'No traffic between workloads is known, so there is nothing to bring together. ' +
        'Name a file of it with --traffic; `netloom graph --export DIR` writes one from what agents measured.',
    ];
  }
  const after = planned ? withPlan : unplanned;
  const isBetter = withPlan.localShare.node > unplanned.localShare.node;
  const suggested = isBetter ? ` (${nodeShare(withPlan)} with a plan: \`netloom scheduler --plan on\`)` : '';
  const other = planned ? ` (${nodeShare(unplanned)} before it has a plan)` : suggested;
  const now = current === null ? '' : `, and ${nodeShare(current)} as it is now`;
  const words = [
    `With Netloom ${nodeShare(after)} of the traffic between workloads could stay on its node${other}, against ` +
      `${nodeShare(before)} with kube-scheduler alone${now}.`,
  ];
  if (cluster.trafficHasUnits) {
    const saved = (after.localShare.node - before.localShare.node) * cluster.traffic * DAY_SECONDS;
    if (saved > 0) words.push(`That is ${humanBytes(saved)} a day which would not leave a node.`);
  }
  if (before.crossZoneBytesPerSecond !== null && after.crossZoneBytesPerSecond !== null && cluster.zones > 1) {
    const less = before.crossZoneBytesPerSecond - after.crossZoneBytesPerSecond;
    const bill =
      price === undefined ? '' : ` (${money(monthly(Math.abs(less), price))} a month at ${String(price)} per GB)`;
    words.push(
      `Between zones it would be ${humanBytes(Math.abs(less) * DAY_SECONDS)} a day ${less < 0 ? 'more' : 'less'}${bill}.`,
    );
  } else if (price !== undefined) words.push(`What goes between zones cannot be priced: ${unpriced(report)}.`);
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

/** From there on a link has no room for bursts. */
const FULL_LINK = 0.8;

function fullLinks(shown: readonly Shown[]): string[] {
  const full = shown.filter(({ mean }) => (mean.linkUse?.max ?? 0) > FULL_LINK);
  if (full.length === 0) return [];
  const each = full.map(({ title, mean }) => `${humanShare(rounded(mean.linkUse!.max))} (${title})`);
  return [
    `Warning: the busiest link would be used by ${each.join(', ')}; above ${humanShare(FULL_LINK)} it is overloaded.`,
  ];
}

/** Whoever has no place is near nobody, and nobody is near them. */
function unplacedWords({ options }: SimulationReport, policies: readonly PolicyReport[]): string[] {
  const most = Math.max(...policies.map(({ mean }) => mean.unplaced));
  // Of a file's order many do not arrive at all.
  if (most === 0 || options.order === 'file') return [];
  const pods = counted(Number(most.toFixed(1)), 'pod');
  return [
    `Up to ${pods} had no place: every node that they may go to was full, or had ${humanShare(options.maxReplicaShare)} ` +
      'of their replicas already (--max-replica-share). Their traffic stays nowhere.',
  ];
}

function nodeShare({ localShare }: Outcome): string {
  return humanShare(rounded(localShare.node));
}

function unpriced({ cluster }: SimulationReport): string {
  if (!cluster.trafficHasUnits) return 'this traffic has no unit';
  if (cluster.zones === 1) return 'all nodes are in one zone';
  return cluster.zones === 0
    ? 'no node says its zone (label topology.kubernetes.io/zone)'
    : 'not every node says its zone (label topology.kubernetes.io/zone)';
}

function monthly(bytesPerSecond: number, price: number): number {
  return ((bytesPerSecond * DAY_SECONDS * MONTH_DAYS) / GB) * price;
}

function money(amount: number): string {
  if (amount > 0 && amount < 0.01) return '<0.01';
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
