import { messageOf, NetloomError } from '../lib/errors.ts';
import { runCli } from './run.ts';
import type { Writer } from './command.ts';

/** Conventional exit status of a program that was interrupted. */
const INTERRUPTED = 130;

/** Wires the command line to this process: arguments, streams, signals, exit status. */
export async function runProcess(): Promise<void> {
  const abort = new AbortController();
  let handling = false;
  const onSignal = (): void => {
    // The second signal does not wait for a clean end.
    if (abort.signal.aborted) process.exit(INTERRUPTED);
    abort.abort();
  };
  process.on('uncaughtException', (error) => crash(error));
  process.on('unhandledRejection', (reason) => crash(reason));
  process.stderr.on('error', () => {
    // Nobody reads our messages any more; the work goes on.
  });
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `netloom graph | head`: the reader has seen enough, which is no failure.
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') {
      // What runs for long may have things to put away: it ends as by a signal.
      if (!handling) process.exit(0);
      abort.abort();
      return;
    }
    process.stderr.write(`${new NetloomError('OUTPUT_FAILED', messageOf(error)).describe()}\n`);
    process.exit(1);
  });

  const code = await runCli({
    argv: process.argv.slice(2),
    environment: process.env,
    cwd: process.cwd(),
    stdout: writer(process.stdout),
    stderr: writer(process.stderr),
    signal: abort.signal,
    handleSignals: () => {
      if (handling) return;
      handling = true;
      process.on('SIGINT', onSignal);
      process.on('SIGTERM', onSignal);
    },
  });
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // A forgotten handle must not keep a command from ending.
  process.exit(code);
}

function writer(stream: NodeJS.WriteStream): Writer {
  return {
    write: (text) => stream.write(text),
    isTty: stream.isTTY,
    columns: stream.isTTY && stream.columns > 0 ? stream.columns : undefined,
    drained: () => flushed(stream),
  };
}

async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || stream.writableLength === 0) return;
  await new Promise<void>((resolve) => {
    stream.write('', () => resolve());
  });
}

function crash(error: unknown): never {
  const text =
    error instanceof NetloomError ? error.describe() : new NetloomError('INTERNAL', messageOf(error)).describe();
  process.stderr.write(`${text}\n`);
  if (error instanceof Error && error.stack !== undefined) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
