/** The part of vitest's JSON report that is read. */
export interface VitestReport {
  readonly testResults: readonly {
    /** Absolute path. */
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName?: string }[];
  }[];
}

/** More files than this do not fail by chance: they are not tried again. */
const SECOND_TRIES = 3;

/** Files that are tried again alone, after everything else has ended: those that failed, if they are few. Pure. */
export function secondTries(report: VitestReport | undefined): string[] {
  const failed = (report?.testResults ?? []).filter(({ status }) => status === 'failed').map(({ name }) => name);
  return failed.length <= SECOND_TRIES ? failed : [];
}

/**
 * A report in which files that were tried again have their second results, and the tests that failed only at first: these
 * count as passed, and are named, for they hide a fault of the test or a race of the product. Pure.
 */
export function withSecondTry(
  first: VitestReport,
  second: VitestReport | undefined,
): { report: VitestReport; unsteady: string[] } {
  const again = new Map(second?.testResults.map((file) => [file.name, file]));
  const unsteady: string[] = [];
  const testResults = first.testResults.map((file) => {
    const other = again.get(file.name);
    if (other === undefined) return file;
    const namesOf = (status: string): Set<string | undefined> =>
      new Set(other.assertionResults.filter((test) => test.status === status).map(({ fullName }) => fullName));
    const [passed, failedAgain] = [namesOf('passed'), namesOf('failed')];
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    // A test that did not even run the second time has failed.
    if (failed.some(({ fullName }) => !passed.has(fullName) && !failedAgain.has(fullName))) return file;
    for (const { fullName } of failed) if (passed.has(fullName)) unsteady.push(`${file.name}: ${fullName ?? ''}`);
    if (failed.length === 0 && other.status === 'passed') unsteady.push(`${file.name}: outside of its tests`);
    return other;
  });
  return { report: { testResults }, unsteady };
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed besides single tests, for people. */
  readonly problems: readonly string[];
}

/**
 * Counts tests, and as one failure each: a file that could not be loaded or failed outside of its tests, a run without report or without tests,
 * a run that failed though every test passed (an error nobody caught), and each of `mustRun` of which no test ran. Pure.
 */
export function countTests(report: VitestReport | undefined, runOk: boolean, mustRun: readonly string[]): Counts {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  const problems: string[] = [];
  const ran = new Set<string>();
  for (const file of report?.testResults ?? []) {
    let failedHere = 0;
    for (const { status } of file.assertionResults) {
      if (status === 'passed') passed++;
      else if (status === 'failed') failedHere++;
      else skipped++;
      if (status === 'passed' || status === 'failed') ran.add(file.name);
    }
    if (file.status === 'failed' && failedHere === 0) {
      problems.push(`${file.name} failed outside of its tests: ${(file.message ?? '').split('\n')[0]!}`);
      failed++;
    }
    failed += failedHere;
  }
  for (const file of mustRun) {
    if (ran.has(file) || report === undefined) continue;
    if (report.testResults.some((result) => result.name === file && result.status === 'failed')) continue;
    problems.push(`${file}: none of its tests ran, and here they must`);
    failed++;
  }
  if (report === undefined) problems.push('vitest left no report: it crashed');
  else if (passed + failed === 0) problems.push('no test ran');
  else if (!runOk && failed === 0) problems.push('vitest failed though every test passed: see its errors above');
  if (failed === 0 && (report === undefined || passed === 0 || !runOk)) failed = 1;
  return { passed, failed, skipped, problems };
}
