import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../cli/run.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-cli-`));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function cli(
  argv: string[],
  environment: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const base = { isTty: false, columns: undefined, drained: () => Promise.resolve() };
  const code = await runCli({
    argv,
    environment,
    cwd: folder,
    stdout: { ...base, write: (text) => (out += text) },
    stderr: { ...base, write: (text) => (err += text) },
    signal: new AbortController().signal,
    handleSignals: () => {},
  });
  return { code, out, err };
}

describe('a command line', () => {
  it('shows help and version on standard output', async () => {
    for (const argv of [['--help'], ['-h'], ['help']]) {
      expect(await cli(argv)).toMatchObject({
        code: 0,
        err: '',
        out: expect.stringContaining('Usage: netloom COMMAND'),
      });
    }
    for (const argv of [
      ['help', 'agent'],
      ['agent', '--help'],
      ['agent', '-h', '--nonsense'],
    ]) {
      expect(await cli(argv)).toMatchObject({
        code: 0,
        err: '',
        out: expect.stringContaining('Usage: netloom agent --node NAME'),
      });
    }
    expect((await cli(['--version'])).out).toMatch(/^netloom \d+\.\d+\.\d+ \(Node 2\d/);
  });

  it.each([
    [[], 'Usage: netloom COMMAND'],
    [['agnet'], 'did you mean "agent"?'],
    [['--nope'], 'unknown flag "--nope"'],
    [['a\u001b[2J'], 'unknown command "a\\u001b[2J"'],
    [['agent', '--intervall', '1s'], 'did you mean "--interval"?'],
    [['agent', '--zzz'], '`netloom agent --help` lists the flags.'],
    [['agent', '-z'], 'one-letter flags here: -h (--help)'],
    [['agent', '--node'], '--node needs a value'],
    [['agent', '--node', '--interval', '1s'], '--node needs a value'],
    [['agent', '--node', 'a', 'b'], 'unexpected argument "b"'],
    [['agent', '--node', 'a', '--no-insecure=1'], 'takes no value'],
    [['agent', '--node', 'a', '--insecure=maybe'], 'true or false'],
    [['agent', '--node', 'a', '--interval', '-5'], 'found:    "-5"'],
    [['agent'], '--node is required'],
    [['agent', '--node', 'a', '--tls-cert', 'x'], 'tls.cert and tls.key belong together'],
    [['agent', '--node', 'Fe5 node'], 'a name of lower-case letters'],
    [
      ['agent', '--node', 'a', '--enforce', '--shadow', '--snapshot', 'x'],
      '--enforce and --shadow contradict each other',
    ],
    [
      ['agent', '--node', 'a', '--shadow', '--dry-run', '--snapshot', 'x'],
      '--shadow and --dry-run contradict each other',
    ],
    [['agent', '--detach', '--enforce', '--snapshot', 'x'], '--detach contradicts --enforce'],
    [['agent', '--detach', '--dry-run'], '--detach contradicts --dry-run'],
    [['limits', '-A', '-n', 'foo'], '-A contradicts -n'],
    [['lab', 'upp'], 'did you mean "up"?'],
    [['lab'], 'ACTION is missing'],
    [['doctor', '-o', 'xml'], 'one of table, wide, json, yaml'],
    [['doctor', '--config', 'x'], 'unknown flag --config'],
  ])('that is wrong (%j) is refused with status 2 and a way out', async (argv, text) => {
    const { code, out, err } = await cli(argv);
    expect(err).toContain(text);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  it('takes flags in every usual form', async () => {
    for (const argv of [
      ['--node=a', '--interval=2s', '--insecure'],
      ['--interval', '2s', '--node', 'a', '--insecure=true'],
      ['--no-insecure', '--node', 'b', '--node', 'a', '--interval', '2s', '--insecure'],
    ]) {
      const { code, out } = await cli(['agent', ...argv, '--print-config']);
      expect(code).toBe(0);
      expect(out).toMatch(/ {2}node: a .*--node$/m);
      expect(out).toMatch(/ {2}interval: 2s .*--interval$/m);
      expect(out).toMatch(/ {2}insecure: true .*--insecure$/m);
    }
    expect((await cli(['doctor', '-oxml'])).err).toContain('found:    "xml"');
    expect((await cli(['doctor', '-o=xml'])).err).toContain('found:    "xml"');
  });
});

describe('a configuration file', () => {
  it('is named by --config or NETLOOM_CONFIG, and printed with its origins', async () => {
    const file = join(folder, 'c.yaml');
    writeFileSync(file, 'agent:\n  node: n1\n  scope: s.txt\nscheduler:\n  floor: 2M\n');
    for (const [argv, env] of [
      [['agent', '--config', 'c.yaml', '--print-config'], {}],
      [['agent', '--print-config'], { NETLOOM_CONFIG: 'c.yaml' }],
      [['agent', '--print-config', '--config', file], { NETLOOM_CONFIG: 'missing.yaml' }],
    ] as const) {
      const { code, out, err } = await cli([...argv], env);
      expect(err).toBe('');
      expect(code).toBe(0);
      expect(out).toMatch(/node: n1 .*c\.yaml:2$/m);
      expect(out).toContain(`scope: ${folder}/s.txt`);
    }
  });

  it('that cannot be read says why, with status 2', async () => {
    writeFileSync(join(folder, 'latin1.yaml'), Buffer.from([0x61, 0xe9, 0x3a]));
    writeFileSync(join(folder, 'binary.yaml'), Buffer.from([0x61, 0, 0x3a]));
    writeFileSync(join(folder, 'huge.yaml'), Buffer.alloc((1 << 20) + 1, 0x23));
    for (const [path, found] of [
      ['missing.yaml', 'ENOENT'],
      ['.', 'a folder'],
      ['latin1.yaml', 'no UTF-8'],
      ['binary.yaml', 'binary data'],
      ['huge.yaml', 'more than 1 MiB'],
    ] as const) {
      const { code, err } = await cli(['agent', '--node', 'a', '--config', path]);
      expect(err).toContain('CONFIG_UNREADABLE');
      expect(err).toContain(`where:    ${path}`);
      expect(err).toContain(found);
      expect(code).toBe(2);
    }
  });

  it('with many mistakes tells ten and counts the rest', async () => {
    writeFileSync(
      join(folder, 'many.yaml'),
      `agent:\n  node: a\n${Array.from({ length: 30 }, (_, i) => `  zz${i}: 1\n`).join('')}`,
    );
    const { err } = await cli(['agent', '--config', 'many.yaml']);
    expect(err.match(/CONFIG_UNKNOWN_KEY/g)).toHaveLength(10);
    expect(err).toContain('... and 20 more.');
  });

  it('is printed even where something required is missing, with status 2', async () => {
    const { code, out, err } = await cli(['agent', '--print-config']);
    expect(out).toMatch(/# node: +# required, not set/);
    expect(err).toContain('--node is required');
    expect(code).toBe(2);
  });
});
