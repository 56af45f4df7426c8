/** What the kernel's verifier said against a program. */
export interface Refusal {
  /** Its own words, on one line. */
  readonly reason: string;
  /** The same for people; undefined if the reason is not one of those known here. */
  readonly meaning?: string;
  /** The C statement that the refused instruction comes from. */
  readonly source?: string;
  /** `file.bpf.c:12`; kernels before 6.8 do not say it. */
  readonly place?: string;
}

/** Lines about the verifier's progress: they surround the reason. */
const NOISE = [
  /^processed \d+ insns/,
  /^(verification time|stack depth|max_states_per_insn|peak_states|mark_read)\b/,
  /^\d+: /,
  /^from \d+ to \d+( \([^)]*\))?:/,
  /^;/,
  /^\s*(frame\d+: ?)?R\d+(_[a-zA-Z]+)?=/,
  /^(last_idx|regs=|parent (state|didn't)|mark_precise|propagating|frame\d)/,
  /^(func#\d+|Func#\d+|arg#\d+ reference|caller:|callee:|returning from callee|to caller at)/,
  /^(Validating|Live regs|reg type unsupported for arg)/,
  /^--/,
];

/** The reason stands in the last lines that are not noise. */
const MAX_REASON_LINES = 3;

/**
 * Reads the verifier's log (level 1, as libbpf asks for it). The reason is the last thing that is said; the source
 * line is the last one quoted before it.
 * @returns undefined if the log holds no reason
 */
export function readVerifierLog(log: string): Refusal | undefined {
  const lines = log.split('\n').map((line) => line.trimEnd());
  let end = lines.length - 1;
  while (end >= 0 && isNoise(lines[end] ?? '')) end--;
  if (end < 0) return undefined;
  let start = end;
  while (start > 0 && end - start + 1 < MAX_REASON_LINES && !isNoise(lines[start - 1] ?? '')) start--;
  const reason = lines.slice(start, end + 1).join('; ');

  let quoted = start;
  while (quoted >= 0 && !(lines[quoted] ?? '').startsWith('; ')) quoted--;
  const quote = quoted < 0 ? undefined : splitQuote((lines[quoted] ?? '').slice(2));
  const meaning = explain(reason);
  return {
    reason,
    ...(meaning === undefined ? {} : { meaning }),
    ...(quote === undefined ? {} : quote),
  };
}

function isNoise(line: string): boolean {
  return line === '' || NOISE.some((pattern) => pattern.test(line));
}

/** `v->bytes += 1; @ flows.bpf.c:21`, where the part from @ on is Linux 6.8 and later. */
function splitQuote(quote: string): { source?: string; place?: string } {
  const match = /^(.*?)\s*@ ([^@]+:\d+)$/.exec(quote);
  const source = (match?.[1] ?? quote).trim();
  const place = match?.[2];
  return { ...(source === '' ? {} : { source }), ...(place === undefined ? {} : { place }) };
}

type Explanation = readonly [pattern: RegExp, meaning: (match: RegExpExecArray) => string];

/** Texts of kernel/bpf/verifier.c, most frequent first. */
const EXPLANATIONS: readonly Explanation[] = [
  [
    /invalid mem access '(\w+)_or_null'/,
    ([, what]) => `a ${pointerName(what ?? '')} is used without checking it for NULL first`,
  ],
  [/invalid mem access '(scalar|inv)'/, () => 'a number is used as if it were a pointer'],
  [
    /expected=.*|type=(\S+) expected=(\S+)/,
    ([text]) => `a helper is given an argument of the wrong kind (${text.replace(/^.*?(type=|expected=)/, '$1')})`,
  ],
  [
    /invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)/,
    ([, valueSize, offset, size]) =>
      `a map value of ${valueSize} B is accessed at offset ${offset} (${size} B), beyond its end`,
  ],
  [
    /invalid access to packet, off=(-?\d+) size=(\d+)/,
    ([, offset, size]) =>
      `the packet is read at offset ${offset} (${size} B) without checking against data_end that it is that long`,
  ],
  [
    /invalid bpf_context access off=(\d+) size=(\d+)/,
    ([, offset]) => `the context has no readable or writable field at offset ${offset}`,
  ],
  [
    /invalid (indirect )?(read|access|write) (from|to) stack/,
    () => 'stack memory is read before it was written, or outside of the frame',
  ],
  [/(R\d+) !read_ok/, ([, register]) => `a variable is used before it has a value (${register})`],
  [
    /(unbounded|outside of the allowed) memory (access|range)/,
    () => 'an index or length is used that the verifier cannot bound: check it against a constant first',
  ],
  [
    /unbounded min value|min value is negative/,
    () => 'an index or length may be negative: make it unsigned and check its range',
  ],
  [
    /math between (\w+) pointer and register/,
    () => 'an offset that may be anything is added to a pointer: check its range first',
  ],
  [/back-edge|infinite loop detected/, () => 'a loop has no bound that the verifier can see'],
  [
    /program is too large|too complex|insn limit|BPF_COMPLEXITY|too many (states|jumps)/i,
    () => 'the program takes the verifier too many steps: shorten it or its loops',
  ],
  [
    /combined stack size.*?(\d+)|stack.* exceeds|looks like the BPF stack limit/i,
    () => 'the program needs more than the 512 bytes of stack that BPF has',
  ],
  [/unknown func (\S+)|invalid func (\S+)/, ([, known, other]) => `this kernel has no helper ${known ?? other}`],
  [
    /program of this type cannot use helper (\S+)|cannot use helper (\S+)/,
    ([, first, second]) => `programs of this type may not call ${first ?? second} on this kernel`,
  ],
  [
    /helper call is not allowed|not allowed in/,
    () => 'a helper or kernel function is called where this kernel does not allow it',
  ],
  [
    /cannot call GPL-restricted function/,
    () => 'a GPL-only helper is called, but the object has no GPL-compatible license section',
  ],
  [
    /Unreleased reference|reference leak/,
    () => 'a reference (socket, ring buffer record, lock) is taken and not given back on some path',
  ],
  [
    /(lock|unlock).*(required|missing)|inside bpf_spin_lock|bpf_spin_unlock/,
    () => 'a spin lock is not held, or not released, where it must be',
  ],
  [/misaligned/, () => 'memory is accessed at an address that is not aligned to its size'],
  [
    /At program exit the register R0 has|R0 .*should have been in/,
    () => 'the program returns a value that its type may not return',
  ],
  [/unreachable insn/, () => 'part of the program can never be reached'],
  [/access beyond (struct|the end)/, () => "a field is read that lies beyond the end of this kernel's struct"],
  [
    /attach_btf_id|is not a (kernel )?function|has no BTF/,
    () => 'the kernel has no such function or event to attach to',
  ],
  [
    /only read is supported|write into map forbidden|cannot write into|modif.* rdonly/,
    () => 'memory that is read-only to this program is written',
  ],
  [
    /leaks addr|pointer arithmetic .*prohibited|pointer comparison prohibited/,
    () => 'a pointer is used in a way that needs CAP_PERFMON',
  ],
];

function explain(reason: string): string | undefined {
  for (const [pattern, meaning] of EXPLANATIONS) {
    const match = pattern.exec(reason);
    if (match !== null) return meaning(match);
  }
  return undefined;
}

function pointerName(kind: string): string {
  switch (kind) {
    case 'map_value':
      return 'map value';
    case 'mem':
    case 'alloc_mem':
    case 'ringbuf_mem':
      return 'ring buffer record';
    case 'sock':
    case 'sock_common':
    case 'tcp_sock':
    case 'socket':
      return 'socket pointer';
    default:
      return `pointer (${kind})`;
  }
}
