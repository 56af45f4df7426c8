/**
 * `make test`: types, lint, format and C objects count as one test each, then vitest. Ends with `N passed, N failed`,
 * also in build/test/summary.txt. A run that crashed, or ran nothing, has failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { controlPlaneTests, inCi, kernelTests, pacingTests, testAll } from './test-scope.ts';
import { countTests, secondTries, withSecondTry, type VitestReport } from './test-counts.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);
const folder = 'build/test';
const summaryFile = `${folder}/summary.txt`;
/**
 * Projects that run one after the other, beside those of the other lanes: these are about equally long without `unit`, which
 * takes all cores at the end. Tests of limits mostly wait for traffic.
 */
const LANES = [['control-plane', 'unit'], ['limits'], ['kernel', 'pacing']] as const;
/** A run that hangs must end as a failure while somebody still waits for it. */
const LIMIT_MS = (testAll() ? 120 : 40) * 60_000;

interface Outcome {
  readonly ok: boolean;
  /** undefined: ended by a signal, or not started. */
  readonly status: number | undefined;
  readonly output: string;
  readonly seconds: number;
}

function runProgram(command: string, args: readonly string[], show: boolean): Promise<Outcome> {
  const started = performance.now();
  return new Promise((done) => {
    const output: string[] = [];
    const finish = (status: number | undefined): void => {
      clearTimeout(timer);
      done({ ok: status === 0, status, output: output.join(''), seconds: (performance.now() - started) / 1000 });
    };
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => {
      take(Buffer.from(`\nstopped after ${LIMIT_MS / 60_000} minutes\n`));
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 10_000).unref();
    }, LIMIT_MS);
    const take = (chunk: Buffer): unknown => (show ? process.stdout.write(chunk) : output.push(chunk.toString()));
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => {
      output.push(error.message);
      finish(undefined);
    });
    child.on('close', (code, signal) => {
      if (signal !== null) take(Buffer.from(`\nended by ${signal}\n`));
      finish(code ?? undefined);
    });
  });
}

const node = (script: string, ...args: string[]): [string, string[]] => [process.execPath, [script, ...args]];

function sourcesInC(): string[] {
  return globSync('{collector,bandwidth,lib,test}/**/*.{c,h}').filter((file) => !file.endsWith('vmlinux.h'));
}

const controlPlane = controlPlaneTests();
let pacing = pacingTests();
/** Of test/pacing/prepare.ts: no mirror answers, for one. In CI that is a failure. */
const NOT_POSSIBLE = 3;

/** Built here, where nobody has a time limit; `make test-all` also tries an older kube-scheduler. */
function controlPlaneModules(): [string, [string, string[]]][] {
  const modules = testAll() ? ['go', 'go-1.35'] : ['go'];
  return modules.map((name) => [`control ${name}`, ['test/control-plane/build.sh', [name]]]);
}

const PACING_GUESTS = 'pacing guests';

/** Kernels and QEMU of test/pacing; the same holds for them. */
function pacingGuests(): [string, [string, string[]]][] {
  const kernels = testAll() ? ['6.12', '6.1'] : ['6.12'];
  return [[PACING_GUESTS, node('test/pacing/prepare.ts', ...kernels)]];
}

async function checks(): Promise<{ passed: number; failed: number }> {
  const steps: [string, [string, string[]]][] = [
    ['eBPF objects', ['scripts/build-bpf.sh', []]],
    ['types', node('node_modules/typescript/bin/tsc', '--noEmit')],
    ['lint', node('node_modules/eslint/bin/eslint.js', '.')],
    ...(controlPlane.run ? controlPlaneModules() : []),
    ...(pacing.run ? pacingGuests() : []),
    ['format', node('node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.')],
  ];
  if (existsSync('.clang-format') && (await runProgram('clang-format', ['--version'], false)).ok) {
    steps.push(['C format', ['clang-format', ['--dry-run', '-Werror', ...sourcesInC()]]]);
  }
  const results = await Promise.all(
    steps.map(async ([name, [command, args]]) => {
      const outcome = await runProgram(command, args, false);
      if (name === PACING_GUESTS && outcome.status === NOT_POSSIBLE && !inCi()) {
        pacing = { run: false, reason: outcome.output.trim() };
        return undefined;
      }
      console.log(`${name.padEnd(14)} ${outcome.ok ? 'ok' : 'FAILED'}  ${outcome.seconds.toFixed(1)} s`);
      if (!outcome.ok) console.log(outcome.output.trimEnd());
      return outcome.ok;
    }),
  );
  const counted = results.filter((ok) => ok !== undefined);
  const passed = counted.filter(Boolean).length;
  return { passed, failed: counted.length - passed };
}

/** undefined: it left none. */
function readReport(file: string): VitestReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  } catch {
    return undefined;
  }
}

interface VitestOutcome {
  readonly ok: boolean;
  readonly report: VitestReport | undefined;
}

async function runVitest(name: string, what: readonly string[]): Promise<VitestOutcome> {
  const reportFile = `${folder}/${name}.json`;
  const { ok } = await runProgram(
    ...node(
      'node_modules/vitest/vitest.mjs',
      'run',
      '--passWithNoTests',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${reportFile}`,
      ...what,
    ),
    true,
  );
  return { ok, report: readReport(reportFile) };
}

async function runLane(projects: readonly string[]): Promise<VitestOutcome[]> {
  const outcomes: VitestOutcome[] = [];
  for (const project of projects) {
    if (project !== 'pacing' || pacing.run) outcomes.push(await runVitest(project, ['--project', project]));
  }
  return outcomes;
}

/** One report of all; undefined where one of them left none. */
function mergeReports(outcomes: readonly VitestOutcome[]): VitestReport | undefined {
  const results = outcomes.map(({ report }) => report?.testResults);
  return results.includes(undefined) ? undefined : { testResults: results.flatMap((result) => result ?? []) };
}

/** What failed beside all the others, on a machine that others may use too, is tried again alone. */
async function secondTry(
  outcomes: readonly VitestOutcome[],
): Promise<VitestOutcome & { readonly unsteady: readonly string[] }> {
  const report = mergeReports(outcomes);
  const files = secondTries(report);
  if (report === undefined || files.length === 0) {
    return { ok: outcomes.every(({ ok }) => ok), report, unsteady: [] };
  }
  console.log(`\ntried again: ${files.map(relativePaths).join(', ')}`);
  const again = await runVitest('again', files);
  // A run may also have failed for what is no test's fault: then there is nothing in it to be tried again.
  const explained = outcomes.every((outcome) => outcome.ok || secondTries(outcome.report).length > 0);
  return { ...withSecondTry(report, again.report), ok: again.ok && explained };
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const before = await checks();
const outcome = await secondTry((await Promise.all(LANES.map(runLane))).flat());
const scopes = [
  { folder: 'test/kernel', scope: kernelTests() },
  { folder: 'test/control-plane', scope: controlPlane },
  { folder: 'test/pacing', scope: pacing },
].map((entry) => ({
  ...entry,
  files: globSync(`${entry.folder}/**/*.test.ts`)
    .filter((file) => testAll() || !file.endsWith('.slow.test.ts'))
    .map((file) => resolve(root, file)),
}));
const mustRun = scopes.flatMap(({ scope, files }) => (inCi() && scope.run ? files : []));
const counts = countTests(outcome.report, outcome.ok, mustRun);

const passed = before.passed + counts.passed;
const failed = before.failed + counts.failed;
console.log('');
for (const problem of counts.problems) console.log(relativePaths(problem));
if (outcome.unsteady.length > 0) {
  console.log(`${outcome.unsteady.length} passed only when tried again alone; please report:`);
  for (const test of outcome.unsteady) console.log(`  ${relativePaths(test)}`);
}
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
for (const { folder: skipped, scope, files } of scopes) {
  if (!scope.run) console.log(`${skipped} (${files.length} files) skipped: ${scope.reason}`);
}
const summary = `${passed} passed, ${failed} failed`;
writeFileSync(summaryFile, `${summary}\n`);
console.log(summary);
process.exitCode = failed === 0 ? 0 : 1;

function relativePaths(text: string): string {
  return text.replaceAll(`${root}/`, relative(root, root));
}
