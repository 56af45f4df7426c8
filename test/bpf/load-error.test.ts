import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseElf } from '../../lib/bpf/elf.ts';
import { bpfObjectPath } from '../../lib/bpf/index.ts';
import { explainLoadFailure } from '../../lib/bpf/load-error.ts';
import { findSourceLine } from '../../lib/bpf/source-lines.ts';
import { readVerifierLog } from '../../lib/bpf/verifier-log.ts';
import { buildBpf } from '../support/bpf.ts';

/** As Linux 6.1 prints it: source without place, state lines after instructions. */
const LOG_6_1 = `0: R1=ctx(off=0,imm=0) R10=fp0
; __u32 slot = skb->mark;
0: (61) r1 = *(u32 *)(r1 +8)          ; R1_w=scalar(umax=4294967295,var_off=(0x0; 0xffffffff))
1: (63) *(u32 *)(r10 -4) = r1         ; R1_w=scalar(umax=4294967295,var_off=(0x0; 0xffffffff)) R10=fp0 fp-8=mmmm????
; *value += 1;
7: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;

/** As Linux 6.8 and later print it. */
const LOG_6_18 = LOG_6_1.replace('; *value += 1;', '; *value += 1; @ flows.bpf.c:18');

/** As Linux 5.10 prints it. */
const LOG_5_10 = `Unrecognized arg#0 type PTR
; return data[12];
3: (71) r0 = *(u8 *)(r6 +12)
invalid access to packet, off=12 size=1, R6(id=0,off=12,r=0)
R6 offset is outside of the packet
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;

describe("reading the verifier's log", () => {
  it('finds reason, meaning and source line', () => {
    expect(readVerifierLog(LOG_6_1)).toEqual({
      reason: "R0 invalid mem access 'map_value_or_null'",
      meaning: 'a map value is used without checking it for NULL first',
      source: '*value += 1;',
    });
  });

  it('finds the place where the kernel gives it', () => {
    expect(readVerifierLog(LOG_6_18)).toMatchObject({ source: '*value += 1;', place: 'flows.bpf.c:18' });
  });

  it('joins a reason of two lines', () => {
    expect(readVerifierLog(LOG_5_10)).toMatchObject({
      reason: 'invalid access to packet, off=12 size=1, R6(id=0,off=12,r=0); R6 offset is outside of the packet',
      source: 'return data[12];',
    });
  });

  it.each([
    ["R1 invalid mem access 'scalar'", 'number'],
    ["R1 invalid mem access 'inv'", 'number'],
    ["R0 invalid mem access 'ringbuf_mem_or_null'", 'ring buffer record'],
    ['unknown func bpf_user_ringbuf_drain#209', 'bpf_user_ringbuf_drain#209'],
    ['program of this type cannot use helper bpf_sk_storage_get#107', 'bpf_sk_storage_get#107'],
    ['back-edge from insn 12 to 4', 'loop'],
    ['BPF program is too large. Processed 1000001 insn', 'too many steps'],
    ['invalid access to map value, value_size=8 off=8 size=8', 'map value of 8 B'],
    ['R3 !read_ok', 'before it has a value'],
    ['Unreleased reference id=2 alloc_insn=3', 'given back'],
    ['R2 type=scalar expected=fp, pkt, map_key', 'wrong kind'],
    ['combined stack size of 2 calls is 544. Too large', '512 bytes'],
  ])('explains %s', (line, meaning) => {
    expect(readVerifierLog(`; x = 1;\n1: (85) call x\n${line}\nprocessed 2 insns (limit 1)`)?.meaning).toContain(
      meaning,
    );
  });

  it('keeps the words of a reason that it does not know', () => {
    const refusal = readVerifierLog('; x();\n1: (85) call 1\nsomething new went wrong\nprocessed 2 insns (limit 1)');
    expect(refusal).toEqual({ reason: 'something new went wrong', source: 'x();' });
  });

  it('finds nothing in an empty log, or one without a reason', () => {
    expect(readVerifierLog('')).toBeUndefined();
    expect(readVerifierLog('processed 0 insns (limit 1000000)\n')).toBeUndefined();
  });
});

describe('a load that failed', () => {
  const failure = (log: string, status = -13, missingCapabilities: string[] = []) =>
    explainLoadFailure({ place: 'flows.bpf.o', status, log, missingCapabilities, findSource: () => undefined });
  const refused = (log: string): string =>
    `libbpf: prog 'count': BPF program load failed: Permission denied\n` +
    `libbpf: prog 'count': -- BEGIN PROG LOAD LOG --\n${log}-- END PROG LOAD LOG --\n` +
    `libbpf: prog 'count': failed to load: -13\nlibbpf: failed to load object 'flows'\n`;

  it('says in one line why, with the C source line, and shows the raw log last', () => {
    const error = failure(refused(LOG_6_18));
    expect(error.code).toBe('BPF_LOAD_FAILED');
    expect(error.message).toBe(
      "the kernel's verifier refuses program count at flows.bpf.c:18 `*value += 1;`: " +
        "a map value is used without checking it for NULL first (verifier: R0 invalid mem access 'map_value_or_null')",
    );
    const [summary, log] = error.describe().split('--- log');
    expect(summary).toContain(error.message);
    expect(log).toContain('processed 8 insns');
  });

  it("looks the place up in the object's own line info where the kernel does not say it", () => {
    const error = explainLoadFailure({
      place: 'flows.bpf.o',
      status: -13,
      log: refused(LOG_6_1),
      missingCapabilities: [],
      findSource: (statement) => (statement === '*value += 1;' ? 'flows.bpf.c:99' : undefined),
    });
    expect(error.message).toContain('at flows.bpf.c:99 `*value += 1;`');
  });

  it('tells missing rights from a missing feature, though both can be EPERM', () => {
    const log = "libbpf: prog 'count': BPF program load failed: Operation not permitted\n";
    expect(failure(log, -1, ['CAP_BPF'])).toMatchObject({
      code: 'BPF_NOT_PERMITTED',
      details: { expected: 'CAP_BPF' },
    });
    expect(failure(log, -1)).toMatchObject({ code: 'BPF_LOAD_FAILED' });
  });

  it.each([
    ["libbpf: couldn't reuse pinned map at '/run/x/edges': parameter mismatch\n", '/run/x/edges'],
    ["libbpf: map 'edges': failed to create: Cannot allocate memory(-12)\n", 'map edges cannot be created: ENOMEM'],
    ["libbpf: prog 'on': failed to find kernel BTF type ID of 'tcp_gone': -3\n", 'attaches to tcp_gone'],
    ['libbpf: failed to find valid kernel BTF\nlibbpf: Error loading vmlinux BTF: -3\n', 'type information'],
    ["libbpf: something new\nlibbpf: failed to load object 'x'\n", 'something new'],
    ['', 'EACCES'],
  ])('explains %j', (log, text) => {
    expect(failure(log).message).toContain(text);
  });
});

describe('line info of an object', () => {
  beforeAll(buildBpf);

  it('knows where a statement stands', () => {
    const elf = parseElf(readFileSync(bpfObjectPath('test-bad-null')), 'test-bad-null');
    expect(findSourceLine(elf, '*value += 1;')).toBe('test-bad-null.bpf.c:18');
    expect(findSourceLine(elf, 'not there')).toBeUndefined();
  });

  it('does not guess between several lines with the same text', () => {
    const elf = parseElf(readFileSync(bpfObjectPath('test-maps')), 'test-maps');
    expect(findSourceLine(elf, 'if (count)')).toBeUndefined();
  });
});
