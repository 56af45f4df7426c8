import { NetloomError, type ErrorDetails } from '../errors.ts';
import type { ErrorCode } from '../error-codes.ts';
import { ENOENT, EPERM, errnoText } from './errno.ts';
import { readVerifierLog } from './verifier-log.ts';

/** A load that failed: one line that says why, and the kernel's and libbpf's own words behind it. */
export class BpfLoadError extends NetloomError {
  /** Raw text of libbpf and the verifier; empty if there is none (no rights, or not on the main thread). */
  readonly log: string;

  constructor(code: ErrorCode, message: string, details: ErrorDetails, log: string) {
    super(code, message, details);
    this.log = log;
  }

  override describe(): string {
    const log = this.log.trimEnd();
    return log === '' ? super.describe() : `${super.describe()}\n--- log of libbpf and the kernel ---\n${log}`;
  }
}

export interface LoadFailure {
  /** What was loaded: a path. */
  readonly place: string;
  /** As returned, negative. */
  readonly status: number;
  /** What libbpf printed. */
  readonly log: string;
  /** Capabilities that loading may need and the process lacks. */
  readonly missingCapabilities: readonly string[];
  /** Finds `file:line` of a C statement, for kernels that do not say it. */
  readonly findSource: (statement: string) => string | undefined;
}

const PROGRAM_LOG = /prog '([^']+)': -- BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG --/;

/** Turns the text of a failed load into one error. Pure. */
export function explainLoadFailure(failure: LoadFailure): BpfLoadError {
  const { place, status, log, missingCapabilities } = failure;
  if (status === -EPERM && missingCapabilities.length > 0) {
    const message = 'the kernel does not let this process load BPF programs';
    return new BpfLoadError(
      'BPF_NOT_PERMITTED',
      message,
      { place, expected: missingCapabilities.join(', '), found: errnoText(status) },
      log,
    );
  }
  return (
    verifierRefusal(failure) ??
    knownMessage(failure) ??
    new BpfLoadError(
      'BPF_LOAD_FAILED',
      `the object cannot be loaded: ${lastWords(log) ?? errnoText(status)}`,
      { place, found: errnoText(status) },
      log,
    )
  );
}

function verifierRefusal({ place, log, findSource }: LoadFailure): BpfLoadError | undefined {
  const match = PROGRAM_LOG.exec(log);
  const refusal = readVerifierLog(match?.[2] ?? '');
  if (match === null || refusal === undefined) return undefined;
  const { reason, meaning, source } = refusal;
  const where = refusal.place ?? (source === undefined ? undefined : findSource(source));
  const at = where === undefined ? '' : ` at ${where}`;
  const quote = source === undefined ? '' : ` \`${source}\``;
  const why = meaning === undefined ? reason : `${meaning} (verifier: ${reason})`;
  const message = `the kernel's verifier refuses program ${match[1]}${at}${quote}: ${why}`;
  const remedy =
    'If you changed the C source, correct that line; else this kernel is one that Netloom was not tested on: ' +
    'please report it with the log below and the output of `uname -r`.';
  return new BpfLoadError('BPF_LOAD_FAILED', message, { place, remedy }, log);
}

type Known = readonly [pattern: RegExp, message: (match: RegExpExecArray, status: number) => string, remedy?: string];

/** Messages of libbpf 1.x (src/libbpf.c), before any program reaches the verifier. */
const KNOWN: readonly Known[] = [
  [
    /couldn't reuse pinned map at '([^']+)': parameter mismatch/,
    ([, path]) => `the map pinned at ${path} has another type, size or number of entries`,
    'It was left by another version or configuration: remove the pin (its counters start anew), or keep the old settings.',
  ],
  [
    /map '([^']+)': failed to create: [^(]*\((-?\d+)\)/,
    ([, map, errno]) => `map ${map} cannot be created: ${errnoText(Number(errno))}`,
    'EINVAL: this kernel has no such map type or flag. ENOMEM, E2BIG: ask for fewer entries.',
  ],
  [
    /prog '([^']+)': failed to find kernel BTF type ID of '([^']+)'/,
    ([, program, target]) => `program ${program} attaches to ${target}, which this kernel does not have`,
  ],
  [
    /(?:kernel BTF is missing|failed to find valid kernel BTF|Error loading vmlinux BTF)/,
    () => 'this kernel carries no type information (BTF)',
    'Use a kernel built with CONFIG_DEBUG_INFO_BTF=y: it has /sys/kernel/btf/vmlinux.',
  ],
  [
    /prog '([^']+)': BPF program load failed: (.+)/,
    ([, program, text]) => `the kernel refuses program ${program} and does not say why: ${text}`,
  ],
];

function knownMessage({ place, status, log }: LoadFailure): BpfLoadError | undefined {
  for (const [pattern, message, remedy] of KNOWN) {
    const match = pattern.exec(log);
    if (match === null) continue;
    const details = remedy === undefined ? { place } : { place, remedy };
    return new BpfLoadError('BPF_LOAD_FAILED', message(match, status), details, log);
  }
  if (log === '' && status === -ENOENT) {
    return new BpfLoadError(
      'BPF_LOAD_FAILED',
      'the object needs something that this kernel does not have',
      { place },
      log,
    );
  }
  return undefined;
}

/** The last thing libbpf said that is not merely "failed to load". */
function lastWords(log: string): string | undefined {
  const lines = log
    .split('\n')
    .filter((line) => line.startsWith('libbpf: '))
    .map((line) => line.slice('libbpf: '.length))
    .filter((line) => !/^(failed to load object|prog '[^']+': failed to load: )/.test(line));
  return lines.at(-1);
}
