/**
 * Runs a program under a seccomp profile in the form that Kubernetes takes, as a container runtime would:
 *   node seccomp-exec.ts PROFILE.json PROGRAM [ARG ...]
 * Knows profiles with one action and a list of names; x86_64 only.
 */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';

const RETURN = 0x06;
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const AUDIT_ARCH_X86_64 = 0xc000003e;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;

const [profileFile, program, ...args] = process.argv.slice(2);
const profile = JSON.parse(readFileSync(profileFile!, 'utf8')) as {
  defaultErrnoRet: number;
  syscalls: { names: string[]; action: string }[];
};
const header = readFileSync('/usr/include/x86_64-linux-gnu/asm/unistd_64.h', 'utf8');
const numbers = new Map([...header.matchAll(/#define __NR_(\w+) (\d+)/g)].map(([, name, n]) => [name!, Number(n)]));
// Names of other architectures are left out, as runtimes do.
const allowed = profile.syscalls.flatMap(({ names }) => names.flatMap((name) => numbers.get(name) ?? []));

const instructions: [code: number, ifTrue: number, ifFalse: number, k: number][] = [
  [LOAD_WORD, 0, 0, 4],
  [JUMP_IF_EQUAL, 1, 0, AUDIT_ARCH_X86_64],
  [RETURN, 0, 0, ERRNO | 1],
  [LOAD_WORD, 0, 0, 0],
  ...allowed.flatMap((nr): typeof instructions => [
    [JUMP_IF_EQUAL, 0, 1, nr],
    [RETURN, 0, 0, ALLOW],
  ]),
  [RETURN, 0, 0, ERRNO | profile.defaultErrnoRet],
];
const code = Buffer.alloc(instructions.length * 8);
instructions.forEach(([op, ifTrue, ifFalse, k], i) => {
  code.writeUInt16LE(op, i * 8);
  code.writeUInt8(ifTrue, i * 8 + 2);
  code.writeUInt8(ifFalse, i * 8 + 3);
  code.writeUInt32LE(k >>> 0, i * 8 + 4);
});

const libc = koffi.load('libc.so.6');
const filter = koffi.struct('seccomp_filter_program', { length: 'uint16_t', filter: 'void *' });
const prctl = libc.func('prctl', 'int', ['int', 'uint64_t', koffi.pointer(filter), 'uint64_t', 'uint64_t']);
if (prctl(PR_SET_NO_NEW_PRIVS, 1, null, 0, 0) !== 0) throw new Error('no_new_privs cannot be set');
// From here on only what the profile allows: the exec itself included.
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, { length: instructions.length, filter: code }, 0, 0) !== 0) {
  throw new Error('the filter is refused');
}
process.execve!(program!, [program!, ...args]);
