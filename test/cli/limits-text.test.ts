import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limitsText, suggestionsText } from '../../cli/limits-text.ts';
import { plainPaint } from '../../lib/output/style.ts';
import type { LimitRow } from '../../bandwidth/status/report.ts';
import { limitReport, limitRow } from '../bandwidth/report-fixture.ts';

const style = { width: 80, wide: false, paint: plainPaint } as const;
const table = (rows: readonly LimitRow[], namespace?: string, more = {}): string =>
  limitsText(limitReport(rows, more), rows, namespace, style);

const ROWS = [
  limitRow({}),
  limitRow({
    direction: 'ingress',
    configuredBps: 1e15,
    measuredBps: 999_000_000_000,
    state: 'shaped-htb',
    dropped: 1_234_567,
  }),
  limitRow({
    pod: 'a-very-long-name-of-a-pod-6d5f9c7b8d-x2x4q',
    measuredBps: null,
    throttledShare: null,
    state: 'policed',
    reason: "tbf 7: at root (as the CNI bandwidth plugin and Calico set it) on eth0 is another's",
  }),
  limitRow({
    pod: 'web',
    configuredBps: null,
    measuredBps: null,
    throttledShare: null,
    state: 'unsupported',
    reason: 'below 64k',
    invalid: true,
  }),
];

describe('the table of limits', () => {
  it('fits into 80 columns, and what stands behind a state is told below', () => {
    expect(`\n${table(ROWS)}`).toMatchInlineSnapshot(`
      "
      POD / WAY        LIMIT          NOW  WAITS    DROPPED  STATE
      shop/cart
        egress     20 Mbit/s  19.4 Mbit/s   25 %          0  enforced
        ingress  1000 Tbit/s   999 Gbit/s   25 %  1,234,567  shaped-htb
      shop/a-very-long-name-of-a-pod-6d5f9c7b8d-x2x4q
        egress     20 Mbit/s            -      -          0  policed
      shop/web
        egress             -            -      -          0  unsupported

      shop/a-very-long-name-of-a-pod-6d5f9c7b8d-x2x4q egress: tbf 7: at root (as the
        CNI bandwidth plugin and Calico set it) on eth0 is another's
      shop/web egress: below 64k
      "
    `);
    for (const line of table(ROWS).split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('of one namespace leaves it out', () => {
    expect(`\n${table(ROWS.slice(0, 1), 'shop')}`).toMatchInlineSnapshot(`
      "
      POD IN shop  WAY         LIMIT          NOW  WAITS  DROPPED  STATE
      cart         egress  20 Mbit/s  19.4 Mbit/s   25 %        0  enforced
      "
    `);
  });

  it('says what is counted only, and what does not work', () => {
    expect(table([limitRow({ state: 'shadow' })], undefined, { purpose: 'shadow' })).toMatch(
      /^Shadow: counted as if limits held/,
    );
    expect(table([], undefined, { purpose: 'dry-run' })).toMatch(
      /^Dry run: this agent attaches nothing\.\nno pod of n1 has a limit\n$/,
    );
    expect(table([], 'shop', { warnings: ['limits could not be set: no'] })).toBe(
      'Warning: limits could not be set: no\nno pod of n1 has a limit in namespace shop; -A shows all namespaces\n',
    );
  });

  it('tells 20 reasons and how many more there are', () => {
    const rows = Array.from({ length: 25 }, (_, i) =>
      limitRow({ pod: `p${i}`, state: 'unsupported', reason: `bypassed by program ${i}` }),
    );
    const text = table(rows);
    expect(text.match(/bypassed/g)).toHaveLength(20);
    expect(text).toContain('5 more reasons: -o wide');
  });

  it('tells a reason that many have once, and names some of them', () => {
    const reason = "shaped-htb at eth0, policed at eth1: tbf 7: at root on eth1 is another's";
    const rows = Array.from({ length: 20 }, (_, i) => limitRow({ pod: `web-${i}`, state: 'policed', reason }));
    const other = limitRow({ pod: 'cart', direction: 'ingress', state: 'unsupported', reason: 'below 64k' });
    const notes = table([...rows, other]).split('\n\n')[1];
    expect(notes).toBe(
      `shop/web-0 egress, shop/web-1 egress, shop/web-2 egress and 17 more: shaped-htb\n` +
        `  at eth0, policed at eth1: tbf 7: at root on eth1 is another's\nshop/cart ingress: below 64k\n`,
    );
  });

  it('with -o wide has everything, also where the 99th percentile of the delay lies', () => {
    const queue = [
      { belowNs: 1024, packets: 980 },
      { belowNs: 1_048_576, packets: 15 },
      { belowNs: null, packets: 5 },
    ];
    const text = limitsText(
      limitReport([]),
      [limitRow({ queue, delayed: 20, marked: 3, reason: 'because' })],
      undefined,
      { paint: plainPaint, wide: true, width: undefined },
    );
    expect(`\n${text}`).toMatchInlineSnapshot(`
      "
      POD        WAY         LIMIT          NOW  WAITS  DELAYED  MARKED  DROPPED  DELAY P99  STATE     INTERFACES  REASON
      shop/cart  egress  20 Mbit/s  19.4 Mbit/s   25 %       20       3        0  < 1.0 ms   enforced  veth1       because
      "
    `);
  });

  it('cannot be made to drive the terminal by a name or a reason', () => {
    const row = limitRow({ pod: 'a\u001b[2Jb\nc', reason: 'bypassed by x\u001b[2Jb\nc', interfaces: ['v\u001b'] });
    const warnings = ['w\u001b[2Jb\nc'];
    for (const wide of [false, true]) {
      const report = limitReport([row], { warnings });
      for (const text of [limitsText, suggestionsText]) {
        expect(text(report, [row], undefined, { ...style, wide })).not.toMatch(/\u001b|b\nc/);
      }
    }
  });
});

it('proposed limits are quantities that an annotation takes, or say how long to wait', () => {
  const rows = [
    limitRow({ demandP99Bps: 10_000_000, suggestedBps: 12_000_000, secondsSeen: 400 }),
    limitRow({ direction: 'ingress', demandP99Bps: 1.4e9, suggestedBps: 1.7e9, secondsSeen: 1234 }),
    limitRow({ pod: 'web', configuredBps: null, secondsSeen: 7 }),
  ];
  expect(`\n${suggestionsText(limitReport(rows), rows, undefined, style)}`).toMatchInlineSnapshot(`
    "
    POD        WAY          LIMIT  P99 DEMAND  SUGGESTED     SEEN
    shop/cart  egress   20 Mbit/s   10 Mbit/s        12M    400 s
    shop/cart  ingress  20 Mbit/s  1.4 Gbit/s      1700M  1,234 s
    shop/web   egress           -           -  93 s more      7 s
    P99 DEMAND: what 99 of 100 seconds asked for at most, in steps of 9 %.
      SUGGESTED: a fifth more, rounded up to two digits, and at least 1M; - where
      nothing was asked for or cannot be measured.
    "
  `);
  expect(suggestionsText(limitReport([]), [], undefined, style)).toBe('nothing was measured yet on n1\n');
});

it('a direction of which nothing was asked, or that cannot be measured, gets no proposal', () => {
  const rows = [
    limitRow({ demandP99Bps: 0, suggestedBps: null, secondsSeen: 400 }),
    limitRow({ pod: 'host', measuredBps: null, state: 'unsupported', interfaces: [] }),
  ];
  const lines = suggestionsText(limitReport(rows), rows, undefined, style).split('\n');
  expect(lines[1]).toMatch(/^shop\/cart +egress +20 Mbit\/s +0 bit\/s +- +400 s$/);
  expect(lines[2]).toMatch(/^shop\/host +egress +20 Mbit\/s +- +- +0 s$/);
});

it('which pods have limits is not denied while it is not known', () => {
  expect(table([], undefined, { podsKnown: false })).toBe('which pods have limits is not known yet\n');
});

it('names of pods are never cut in a terminal: no two look the same', () => {
  const name = fc.stringMatching(/^[a-z]{1,12}(-[a-z0-9]{1,20}){0,3}$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, name), { selector: (one) => one.join('/'), maxLength: 8 }), (names) => {
      const rows = names.flatMap(([namespace, pod]) =>
        (['egress', 'ingress'] as const).map((direction) => limitRow({ namespace, pod, direction })),
      );
      const lines = table(rows).split('\n');
      for (const [namespace, pod] of names) {
        const of = lines.filter((line) => line.split(' ')[0] === `${namespace}/${pod}`);
        expect([1, 2]).toContain(of.length);
      }
      for (const line of lines) expect(/bit\/s/.test(line) ? line.length : 0).toBeLessThanOrEqual(80);
    }),
  );
});
