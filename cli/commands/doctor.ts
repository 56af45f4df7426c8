import type { FeatureReport, Finding } from '../../collector/features.ts';
import { printResult, type Role, type TextStyle } from '../../lib/output/index.ts';
import { defineCommand } from '../command.ts';
import { wrap } from '../help.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'doctor',
  summary: 'tell what this machine can measure',
  description: [
    'Tries every kernel feature that Netloom uses or will use, by loading and attaching; says which are missing, what ' +
      'that costs, and what to do. Leaves nothing behind. Exit status 1: this machine cannot measure.',
  ],
  examples: [{ text: 'Look at this machine.', command: 'netloom doctor' }],
  flags: { ...outputOptions },
  async run({ options, stdout, environment }) {
    const { examineMachine } = await import('../../collector/doctor.ts');
    const report = await examineMachine();
    await printResult(stdout, options.output, environment, {
      data: report,
      text: (style) => reportText(report, style),
    });
    return report.canMeasure ? 0 : 1;
  },
});

const MARKS: Readonly<Record<Finding['status'], { readonly mark: string; readonly role: Role }>> = {
  ok: { mark: 'ok', role: 'good' },
  degraded: { mark: 'look', role: 'warning' },
  missing: { mark: 'missing', role: 'bad' },
  unused: { mark: 'unused', role: 'dim' },
};
const INDENT = 9;
const DEFAULT_WIDTH = 80;

function reportText(report: FeatureReport, style: TextStyle): string {
  const width = Math.max(40, Math.min(style.width ?? DEFAULT_WIDTH, 100));
  const hanging = (text: string): string => `${wrap(text, ' '.repeat(INDENT), width, ' '.repeat(INDENT)).join('\n')}\n`;
  const order: readonly Finding['status'][] = ['missing', 'degraded', 'ok', 'unused'];
  const findings = report.findings
    .filter((finding) => style.wide || finding.status !== 'unused' || finding.reason !== undefined)
    .toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  let text = `${wrap(report.verdict, '', width)
    .map((line) => style.paint('heading', line))
    .join('\n')}\n\n`;
  for (const finding of findings) {
    const { mark, role } = MARKS[finding.status];
    text += style.paint(role, mark.padEnd(INDENT)) + hanging(`${finding.subject}: ${finding.summary}`).trimStart();
    if (finding.status === 'ok' || (finding.status === 'unused' && !style.wide)) continue;
    for (const [label, value] of [
      ['why', finding.reason],
      ['needs', finding.needs],
      ['cost', finding.cost],
      ['do', finding.remedy],
    ] as const) {
      if (value !== undefined) text += style.paint('dim', hanging(`${label}: ${value}`));
    }
  }
  const hidden = report.findings.length - findings.length;
  if (hidden > 0) text += style.paint('dim', `\n${String(hidden)} more that this version does not use: -o wide\n`);
  return text;
}
