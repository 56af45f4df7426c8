import type { LimitReport, LimitRow } from '../bandwidth/status/report.ts';
import {
  cellText,
  humanBitrate,
  humanCount,
  humanShare,
  renderTable,
  wrapText,
  type Column,
  type Role,
  type TextStyle,
} from '../lib/output/index.ts';
import { warningLines } from './warning-text.ts';

/** Reasons told in full below the table. */
const MAX_NOTES = 20;
/** Rows named of those that have the same. */
const MAX_NAMES = 3;

const ROLES: Readonly<Record<LimitRow['state'], Role>> = {
  enforced: 'good',
  'shaped-htb': 'good',
  policed: 'warning',
  pending: 'warning',
  unsupported: 'bad',
  shadow: 'accent',
  'dry-run': 'accent',
};

/** @param namespace the one whose rows these are; undefined: all. Pure. */
export function limitsText(
  report: LimitReport,
  rows: readonly LimitRow[],
  namespace: string | undefined,
  style: TextStyle,
): string {
  const columns: Column<LimitRow>[] = [
    podColumn(namespace),
    { header: 'WAY', cell: ({ direction }) => direction },
    { header: 'LIMIT', cell: ({ configuredBps }) => rate(configuredBps), align: 'right' },
    { header: 'NOW', cell: ({ measuredBps }) => rate(measuredBps), align: 'right' },
    { header: 'WAITS', cell: ({ throttledShare }) => (throttledShare === null ? '-' : humanShare(throttledShare)) },
    { header: 'DELAYED', cell: ({ delayed }) => humanCount(delayed), wide: true },
    { header: 'MARKED', cell: ({ marked }) => humanCount(marked), wide: true },
    { header: 'DROPPED', cell: ({ dropped }) => humanCount(dropped) },
    { header: 'DELAY P99', cell: (row) => delayText(row), wide: true },
    { header: 'STATE', cell: ({ state }) => state, role: ({ state }) => ROLES[state] },
    { header: 'INTERFACES', cell: ({ interfaces }) => interfaces.join(','), align: 'left', wide: true },
    { header: 'REASON', cell: ({ reason }) => reason, align: 'left', wide: true },
  ];
  const none =
    namespace === undefined
      ? `no pod of ${report.node} has a limit`
      : `no pod of ${report.node} has a limit in namespace ${namespace}; -A shows all namespaces`;
  const empty = report.podsKnown ? none : 'which pods have limits is not known yet';
  return (
    warningLines(report.warnings, style) +
    purposeLine(report, style) +
    renderTable(columns, rows, { ...style, empty }) +
    (style.wide ? '' : noteLines(rows, namespace, style))
  );
}

/** Limits that the demand of the pods asks for. Pure. */
export function suggestionsText(
  report: LimitReport,
  rows: readonly LimitRow[],
  namespace: string | undefined,
  style: TextStyle,
): string {
  const columns: Column<LimitRow>[] = [
    podColumn(namespace),
    { header: 'WAY', cell: ({ direction }) => direction },
    { header: 'LIMIT', cell: ({ configuredBps }) => rate(configuredBps), align: 'right' },
    { header: 'P99 DEMAND', cell: ({ demandP99Bps }) => rate(demandP99Bps), align: 'right' },
    {
      header: 'SUGGESTED',
      cell: suggestionText,
      align: 'right',
    },
    { header: 'SEEN', cell: ({ secondsSeen }) => `${humanCount(secondsSeen)} s` },
  ];
  const how =
    'P99 DEMAND: what 99 of 100 seconds asked for at most, in steps of 9 %. SUGGESTED: a fifth more, rounded up to ' +
    'two digits, and at least 1M; - where nothing was asked for or cannot be measured.';
  return (
    warningLines(report.warnings, style) +
    renderTable(columns, rows, { ...style, empty: `nothing was measured yet on ${report.node}` }) +
    (rows.length === 0
      ? ''
      : wrapText(how, style.width)
          .map((line) => `${style.paint('dim', line)}\n`)
          .join(''))
  );
}

function podColumn(namespace: string | undefined): Column<LimitRow> {
  return {
    header: namespace === undefined ? 'POD' : `POD IN ${namespace}`,
    cell: (row) => (namespace === undefined ? `${row.namespace}/${row.pod}` : row.pod),
    ownLine: true,
  };
}

/** Demand is known after 100 seconds; what has none, or no interface at which it could be counted, gets no limit proposed. */
function suggestionText({ suggestedBps, demandP99Bps, measuredBps, secondsSeen }: LimitRow): string {
  if (suggestedBps !== null) return quantity(suggestedBps);
  if (demandP99Bps !== null || (measuredBps === null && secondsSeen === 0)) return '-';
  return `${100 - Math.min(99, secondsSeen)} s more`;
}

function purposeLine({ purpose }: LimitReport, style: TextStyle): string {
  if (purpose === 'enforce') return '';
  const text =
    purpose === 'shadow'
      ? 'Shadow: counted as if limits held; nothing is delayed or dropped.'
      : 'Dry run: this agent attaches nothing.';
  return `${style.paint('accent', text)}\n`;
}

/** What stands behind the states: a sentence for each reason, with the rows that have it, for many may have the same. */
function noteLines(rows: readonly LimitRow[], namespace: string | undefined, style: TextStyle): string {
  const byReason = Map.groupBy(
    rows.filter(({ reason }) => reason !== ''),
    ({ reason }) => reason,
  );
  const lines = [...byReason].slice(0, MAX_NOTES).flatMap(([reason, of]) => {
    const names = of.slice(0, MAX_NAMES).map((row) => {
      return `${namespace === undefined ? `${row.namespace}/` : ''}${row.pod} ${row.direction}`;
    });
    const more = of.length - names.length;
    const who = `${names.join(', ')}${more > 0 ? ` and ${humanCount(more)} more` : ''}`;
    return wrapText(cellText(`${who}: ${reason}`), style.width);
  });
  const more = byReason.size - MAX_NOTES;
  if (more > 0) lines.push(`${humanCount(more)} more reasons: -o wide`);
  return lines.length === 0 ? '' : `\n${lines.map((line) => `${line}\n`).join('')}`;
}

function rate(bps: number | null): string {
  return bps === null ? '-' : humanBitrate(bps);
}

/** 12_000_000 -> '12M' */
function quantity(bps: number): string {
  for (const [size, suffix] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (bps >= size && bps % size === 0) return `${bps / size}${suffix}`;
  }
  return String(bps);
}

/** Where the 99th percentile of the virtual queue lies: the end of its bucket. */
function delayText({ queue }: LimitRow): string {
  const total = queue.reduce((sum, { packets }) => sum + packets, 0);
  if (total === 0) return '-';
  let left = Math.ceil(total * 0.99);
  for (const { belowNs, packets } of queue) {
    left -= packets;
    if (left <= 0) return belowNs === null ? '> 4 s' : `< ${millis(belowNs)}`;
  }
  return '-';
}

function millis(ns: number): string {
  const ms = ns / 1e6;
  if (ms < 1) return `${Math.round(ns / 1e3)} us`;
  return `${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))} ms`;
}
