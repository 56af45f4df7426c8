import { describe, expect, it } from 'vitest';
import { countTests, secondTries, withSecondTry } from '../../scripts/test-counts.ts';

const file = (name: string, status: string, ...tests: string[]) => ({
  name,
  status,
  assertionResults: tests.map((test) => ({ status: test })),
});

describe('the counts of make test', () => {
  it('are those of the report', () => {
    const report = {
      testResults: [file('a', 'passed', 'passed', 'passed'), file('b', 'failed', 'failed', 'passed', 'skipped')],
    };
    expect(countTests(report, false, [])).toMatchObject({ passed: 3, failed: 1, skipped: 1, problems: [] });
  });

  it('take a file that could not be loaded, a crash, and an empty run for failures', () => {
    expect(countTests({ testResults: [file('a', 'failed'), file('b', 'passed', 'passed')] }, false, [])).toMatchObject({
      passed: 1,
      failed: 1,
    });
    expect(countTests(undefined, false, [])).toMatchObject({ passed: 0, failed: 1 });
    expect(countTests({ testResults: [] }, true, [])).toMatchObject({ passed: 0, failed: 1 });
    expect(countTests({ testResults: [file('a', 'passed', 'passed')] }, false, [])).toMatchObject({
      passed: 1,
      failed: 1,
    });
    expect(countTests({ testResults: [file('a', 'passed', 'passed')] }, true, [])).toMatchObject({
      passed: 1,
      failed: 0,
    });
  });

  it('fail where tests that must run did not', () => {
    const report = { testResults: [file('/k', 'passed', 'skipped'), file('/u', 'passed', 'passed')] };
    expect(countTests(report, true, ['/k'])).toMatchObject({ passed: 1, failed: 1, skipped: 1 });
    expect(countTests(report, true, ['/u'])).toMatchObject({ passed: 1, failed: 0 });
    expect(countTests(report, true, ['/gone'])).toMatchObject({ failed: 1 });
  });
});

describe('a second try', () => {
  const named = (name: string, status: string, tests: Record<string, string>) => ({
    name,
    status,
    assertionResults: Object.entries(tests).map(([fullName, each]) => ({ fullName, status: each })),
  });
  const first = {
    testResults: [
      named('/a', 'failed', { one: 'failed', two: 'failed', three: 'passed' }),
      named('/b', 'passed', { four: 'passed' }),
      named('/c', 'failed', {}),
    ],
  };

  it('is for the files that failed, unless they are many', () => {
    expect(secondTries(first)).toEqual(['/a', '/c']);
    expect(secondTries({ testResults: ['1', '2', '3', '4'].map((name) => named(name, 'failed', {})) })).toEqual([]);
    expect(secondTries(undefined)).toEqual([]);
  });

  it('counts instead of the first, and what passes only then is named', () => {
    const second = {
      testResults: [
        named('/a', 'failed', { one: 'passed', two: 'failed', three: 'passed' }),
        named('/c', 'passed', { five: 'passed' }),
      ],
    };
    const { report, unsteady } = withSecondTry(first, second);
    expect(unsteady).toEqual(['/a: one', '/c: outside of its tests']);
    expect(countTests(report, false, [])).toMatchObject({ passed: 4, failed: 1 });
  });

  it('in which a test that had failed does not run leaves it failed', () => {
    const second = { testResults: [named('/a', 'passed', { one: 'passed', two: 'skipped', three: 'passed' })] };
    const { report, unsteady } = withSecondTry(first, second);
    expect(unsteady).toEqual([]);
    expect(countTests(report, false, [])).toMatchObject({ failed: 3 });
  });

  it('that crashed leaves the first', () => {
    expect(withSecondTry(first, undefined)).toEqual({ report: first, unsteady: [] });
    expect(countTests(first, false, [])).toMatchObject({ passed: 2, failed: 3 });
  });
});
