import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../lib/version.ts';
import { ROOT } from '../house/sources.ts';
import { buildBpf } from '../support/bpf.ts';
import { Processes } from '../support/netloom.ts';
import { readDockerfile } from './dockerfile.ts';

const stages = readDockerfile();
const stage = (name: string) => stages.find((candidate) => candidate.name === name)!;
const final = stages.at(-1)!;

/** Lines of .dockerignore that begin with `!`: it excludes everything else. */
const allowed = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('!'))
  .map((line) => line.slice(1));

it('the chart installs this release', () => {
  const chart = readFileSync(join(ROOT, 'charts/netloom/Chart.yaml'), 'utf8');
  expect(/^appVersion: (.*)$/m.exec(chart)?.[1]).toBe(VERSION);
});

describe('Dockerfile', () => {
  it('copies what is there and what .dockerignore lets through, and nothing more is let through', () => {
    const copied = stages.flatMap(({ copies }) => copies.filter(({ from }) => from === undefined));
    const sources = copied.flatMap((copy) => copy.sources);
    expect(sources.length).toBeGreaterThan(10);
    for (const source of sources) {
      expect(existsSync(join(ROOT, source)), source).toBe(true);
      expect(
        allowed.some((path) => source === path || source.startsWith(`${path}/`)),
        source,
      ).toBe(true);
    }
    for (const path of allowed) {
      expect(
        sources.some((source) => source === path || source.startsWith(`${path}/`) || path.startsWith(`${source}/`)),
        path,
      ).toBe(true);
    }
  });

  it('ends as a user without rights, with the program as the first process', () => {
    expect(final.others).toContain('USER 65532:65532');
    expect(final.others).toContain('ENTRYPOINT ["/opt/netloom/bin/netloom"]');
    expect(final.copies.filter(({ from }) => from !== undefined).map(({ from }) => from)).toEqual([
      'node',
      'packages',
      'bpf',
    ]);
  });
});

/**
 * No image is built here: its folder is put together from the lines of the Dockerfile, with the packages and objects
 * of this checkout, pruned by the Dockerfile's own command.
 */
describe("the image's folder", () => {
  const processes = new Processes();
  const folder = mkdtempSync(join(tmpdir(), 'netloom-image-'));
  const opt = join(folder, 'opt');
  const netloom = join(folder, 'netloom');
  const env = { PATH: '/usr/bin:/bin', NETLOOM_NODE: process.execPath, XDG_CACHE_HOME: join(folder, 'cache') };
  const asUser = process.getuid?.() === 0 ? { uid: 65532 } : {};

  beforeAll(() => {
    buildBpf();
    chmodSync(folder, 0o755);
    mkdirSync(opt);
    copyProductionPackages(opt);
    const prune = stage('packages').runs[0]!.split(' && ').slice(1);
    expect(prune.length).toBe(2);
    for (const command of prune) execFileSync('/bin/sh', ['-c', command], { cwd: opt });
    for (const { from, sources, target } of final.copies) {
      if (from === 'node' || from === 'packages') continue;
      for (const source of sources) {
        const path = from === 'bpf' ? source.replace(/^\/src\//, '') : source;
        const to = target.endsWith('/') ? join(opt, target, path.split('/').at(-1)!) : join(opt, target);
        mkdirSync(dirname(to), { recursive: true });
        cpSync(join(ROOT, path), to, { recursive: true });
      }
    }
    symlinkSync(join(opt, 'bin', 'netloom'), netloom);
  });

  afterAll(async () => {
    await processes.cleanup();
    rmSync(folder, { recursive: true, force: true });
  });

  it('starts every command as a user without rights', async () => {
    const run = (...args: string[]) => processes.program(netloom, args, { env, cwd: '/', ...asUser });
    expect(await run('--version')).toMatchObject({ status: 0, stdout: expect.stringContaining('netloom ') });
    // libbpf is loaded by koffi, with the objects of the image.
    const doctor = await run('doctor', '-o', 'json');
    expect(doctor.stderr).toBe('');
    expect(JSON.parse(doctor.stdout)).toHaveProperty('findings');
    // The client of the API server is loaded.
    expect((await run('scheduler', '--kubeconfig', '/nowhere')).stderr).toContain('KUBECONFIG_UNUSABLE');
    for (const command of ['agent', 'scheduler', 'graph', 'top', 'explain', 'lab', 'doctor']) {
      expect(await run(command, '--help')).toMatchObject({ status: 0, stderr: '' });
    }
  });
});

/** What `npm ci --omit=dev` installs. */
function copyProductionPackages(to: string): void {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  for (const [path, { dev }] of Object.entries(lock.packages)) {
    if (path === '' || dev === true || !existsSync(join(ROOT, path))) continue;
    cpSync(join(ROOT, path), join(to, path), {
      recursive: true,
      // Packages within are packages of their own.
      filter: (source) => source === join(ROOT, path) || !source.endsWith('/node_modules'),
    });
  }
}
