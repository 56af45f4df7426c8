import { printConfig } from '../lib/config/print.ts';
import { readConfigFile } from '../lib/config/read.ts';
import { resolveOptions, type Resolved } from '../lib/config/resolve.ts';
import type { OptionSpecs } from '../lib/config/types.ts';
import type { ConfigFile, Sections } from '../lib/config/file.ts';
import { messageOf, NetloomError } from '../lib/errors.ts';
import { createLogger, type LogFormat, type Logger, type LogLevel } from '../lib/log.ts';
import { escapeUnsafe } from '../lib/log-value.ts';
import { suggestion } from '../lib/nearest.ts';
import type { Command, Writer } from './command.ts';
import { COMMANDS, loadCommands } from './commands/index.ts';
import { FILE_FLAGS, HELP_FLAG, LOG_LEVEL_FLAG, parseLine } from './flags.ts';
import { commandHelp, overviewHelp, versionText } from './help.ts';
import { SECTIONS } from './options/index.ts';

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
/** Wrong usage or configuration: nothing was done. */
export const EXIT_USAGE = 2;

/** Problems shown at once; the rest are counted. */
const MAX_SHOWN = 10;

/** What the command line needs of its process. */
export interface CliHost {
  /** Without interpreter and program. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: Writer;
  readonly stderr: Writer;
  /** Aborted at the first SIGINT or SIGTERM, once `handleSignals` was called. */
  readonly signal: AbortSignal;
  readonly handleSignals: () => void;
}

/** Runs one command line; resolves to the exit status. Never rejects. */
export async function runCli(host: CliHost): Promise<number> {
  try {
    return await dispatch(host);
  } catch (error) {
    host.stderr.write(`${errorText(error, true)}\n`);
    return EXIT_FAILURE;
  }
}

async function dispatch(host: CliHost): Promise<number> {
  const [first, ...rest] = host.argv;
  if (first === undefined || first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
    // Without a command the help is an answer to a mistake.
    (first === undefined ? host.stderr : host.stdout).write(overviewHelp(await loadCommands()));
    return first === undefined ? EXIT_USAGE : EXIT_OK;
  }
  if (first === '--version' || first === 'version') {
    host.stdout.write(`${versionText()}\n`);
    return EXIT_OK;
  }
  const name = first === 'help' ? rest[0]! : first;
  const entry = COMMANDS.find((candidate) => candidate.name === name);
  if (entry === undefined) {
    const names = COMMANDS.map((candidate) => candidate.name);
    const what = name.startsWith('-') ? 'flag' : 'command';
    return refuse(host, [
      new NetloomError('USAGE', `unknown ${what} "${escapeUnsafe(name.slice(0, 80))}"`, {
        remedy:
          what === 'flag' ? 'Flags of a command stand behind it: netloom COMMAND --flag.' : suggestion(name, names),
      }),
    ]);
  }
  return runCommand(host, await entry.load(), first === 'help' ? ['--help'] : rest);
}

async function runCommand(host: CliHost, command: Command, argv: readonly string[]): Promise<number> {
  const specs = specsOf(command);
  const line = parseLine(argv, specs, command.positionals ?? [], command.name);
  if (line.flags.some((flag) => flag.key === 'help')) {
    host.stdout.write(commandHelp(command, specs));
    return EXIT_OK;
  }
  if (line.problems.length > 0) return refuse(host, line.problems, command.name);

  let file: ConfigFile | undefined;
  if (command.section !== undefined) {
    const path = line.flags.findLast((flag) => flag.key === 'config')?.text ?? host.environment['NETLOOM_CONFIG'] ?? '';
    try {
      if (path !== '') file = await readConfigFile(path, host.cwd, allSections());
    } catch (error) {
      if (error instanceof NetloomError) return refuse(host, [error], command.name);
      throw error;
    }
  }
  const resolved = resolveOptions({
    section: command.section?.name,
    specs,
    flags: line.flags,
    environment: host.environment,
    file,
    sections: allSections(),
    cwd: host.cwd,
  });
  for (const warning of resolved.warnings) host.stderr.write(`netloom: warning: ${escapeUnsafe(warning)}\n`);
  const problems = [...resolved.problems, ...conflictsOf(command, resolved)];
  if (resolved.values['printConfig'] === true && command.section !== undefined) {
    const { name, options } = command.section;
    host.stdout.write(printConfig(name, options, resolved.values, resolved.origins));
    return problems.length > 0 ? refuse(host, problems, command.name) : EXIT_OK;
  }
  if (problems.length > 0) return refuse(host, problems, command.name);
  return execute(host, command, resolved, line.args);
}

async function execute(host: CliHost, command: Command, resolved: Resolved, args: readonly string[]): Promise<number> {
  const log = loggerOf(host, resolved);
  if (command.longRunning === true) host.handleSignals();
  try {
    const code = await command.run({
      options: resolved.values,
      args,
      log,
      stdout: host.stdout,
      stderr: host.stderr,
      signal: host.signal,
      environment: host.environment,
      cwd: host.cwd,
    });
    return code ?? EXIT_OK;
  } catch (error) {
    if (error instanceof NetloomError && isUsage(error, command)) return refuse(host, [error], command.name);
    const debug = resolved.values['logLevel'] === 'debug';
    host.stderr.write(`${errorText(error, debug || !(error instanceof NetloomError))}\n`);
    return EXIT_FAILURE;
  }
}

/** Every option a command takes, by key: its section's, its own flags, and the general ones. */
export function specsOf(command: Command): OptionSpecs {
  const own = { ...command.section?.options, ...command.flags };
  return {
    ...own,
    ...(command.section === undefined ? {} : FILE_FLAGS),
    ...('logLevel' in own ? {} : LOG_LEVEL_FLAG),
    ...HELP_FLAG,
  };
}

function allSections(): Sections {
  return Object.fromEntries(SECTIONS.map((section) => [section.name, section.options]));
}

/** Only of values that are each valid: a contradiction with a value that is refused anyway would confuse. */
function conflictsOf(command: Command, resolved: Resolved): NetloomError[] {
  const problems: NetloomError[] = [];
  if (resolved.problems.length > 0) return problems;
  const conflict = (message: string, remedy: string): void => {
    problems.push(new NetloomError('CONFIG_CONFLICT', message, { remedy }));
  };
  command.section?.check?.(resolved.values as never, conflict);
  command.check?.(resolved.values, conflict, (key) => resolved.origins.get(key)?.kind === 'flag');
  return problems;
}

function loggerOf(host: CliHost, resolved: Resolved): Logger {
  const { logLevel, logFormat } = resolved.values as { logLevel?: LogLevel; logFormat?: LogFormat };
  return createLogger({ level: logLevel ?? 'warn', format: logFormat ?? 'text', stream: host.stderr });
}

/** Files that options name, to be read or written. */
const FILE_CODES: ReadonlySet<string> = new Set([
  'SNAPSHOT_UNREADABLE',
  'TRAFFIC_UNREADABLE',
  'ARRIVALS_INVALID',
  'EXPORT_FAILED',
]);
/** Nothing, or no file, has the name. */
const MISNAMED: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG']);

/**
 * What only the run of a command could tell, and yet is wrong usage: contradicting options, and for a command that ends by itself a
 * file that is not there. To a scheduler that may happen at any time.
 */
function isUsage({ code, details: { cause } }: NetloomError, { longRunning }: Command): boolean {
  if (code === 'USAGE' || code.startsWith('CONFIG_')) return true;
  return (
    longRunning !== true && FILE_CODES.has(code) && MISNAMED.has((cause as NodeJS.ErrnoException | undefined)?.code)
  );
}

function refuse(host: CliHost, problems: readonly NetloomError[], command?: string): number {
  for (const problem of problems.slice(0, MAX_SHOWN)) host.stderr.write(`${printable(problem.describe())}\n`);
  if (problems.length > MAX_SHOWN) host.stderr.write(`... and ${String(problems.length - MAX_SHOWN)} more.\n`);
  const help = command === undefined ? 'netloom --help' : `netloom ${command} --help`;
  if (problems.some((problem) => problem.code === 'USAGE')) host.stderr.write(`See: ${help}\n`);
  return EXIT_USAGE;
}

/** What people are shown of an error: described where it is ours, with its stack only where that helps. */
function errorText(error: unknown, withStack: boolean): string {
  const known =
    error instanceof NetloomError ? error : new NetloomError('INTERNAL', messageOf(error), { cause: error });
  const stack = withStack && error instanceof Error ? `\n${error.stack ?? ''}` : '';
  return printable(`${known.describe()}${stack}`);
}

/** Lines stay lines; every other control character, from whatever input it came, is shown as an escape. */
function printable(text: string): string {
  return text
    .split('\n')
    .map((line) => escapeUnsafe(line))
    .join('\n');
}
