import { runCli } from '../../cli/run.ts';

export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `netloom simulate` in this process. @param columns of the terminal; undefined: there is none */
export async function simulateCli(
  cwd: string,
  argv: readonly string[],
  columns: number | undefined = 80,
): Promise<CliRun> {
  let out = '';
  let err = '';
  const base = { isTty: false, columns, drained: () => Promise.resolve() };
  const code = await runCli({
    argv: ['simulate', ...argv],
    environment: {},
    cwd,
    stdout: { ...base, write: (text) => (out += text) },
    stderr: { ...base, write: (text) => (err += text) },
    signal: new AbortController().signal,
    handleSignals: () => {},
  });
  return { code, out, err };
}
