/**
 * `make test-pacing`: every case on every kernel, as a table. Arguments: kernels (6.12, 6.1), numbers of cases (3), ids
 * (3-cubic-16) or `ci`; none: all of them.
 */
import { CASES } from './cases/index.ts';
import { boundsText, judge, short, type Case } from './cases/case.ts';
import { KERNELS, type KernelName } from './guest/kernels.ts';
import { planGuests } from './plan.ts';
import { runPlans, type Result } from './results.ts';

const words = process.argv.slice(2);
const kernelWords = words.filter((word) => Object.hasOwn(KERNELS, word)) as KernelName[];
const kernels = kernelWords.length > 0 ? kernelWords : (Object.keys(KERNELS) as KernelName[]);
const caseWords = words.filter((word) => !Object.hasOwn(KERNELS, word));
const wanted = (entry: Case): boolean =>
  caseWords.some((word) => word === entry.id || word === String(entry.number) || (word === 'ci' && entry.ci === true));
const cases = caseWords.length === 0 ? CASES : CASES.filter(wanted);
if (cases.length === 0) throw new Error(`no case is called ${caseWords.join(' or ')}`);

const started = performance.now();
let failed = 0;
let passed = 0;
await runPlans(planGuests(cases, kernels), (result) => {
  const problems = problemsOf(result);
  if (problems.length === 0) passed++;
  else failed++;
  console.log(line(result, problems.length === 0));
  for (const problem of problems) console.log(`       ${problem}`);
});
console.log(`\n${passed} as expected, ${failed} not, ${Math.round((performance.now() - started) / 1000)} s`);
process.exitCode = failed === 0 ? 0 : 1;

function problemsOf({ of, outcome }: Result): string[] {
  return 'error' in outcome ? [outcome.error] : judge(of, outcome.figures);
}

function line({ kernel, of, outcome }: Result, good: boolean): string {
  const head = `${good ? 'ok    ' : 'FAILED'} ${kernel.padEnd(4)} ${of.id.padEnd(24)}`;
  if ('error' in outcome) return `${head} ${of.what}`;
  const names = Object.keys(of.expected).filter((name) => outcome.figures[name] !== undefined);
  const judged = names.map((name) => `${name} ${short(outcome.figures[name]!)} (${boundsText(of.expected[name]!)})`);
  const all = process.env['VERBOSE'] === '1' ? `\n       ${JSON.stringify(outcome.figures)}` : '';
  return `${head} ${judged.join(', ')}${all}`;
}
