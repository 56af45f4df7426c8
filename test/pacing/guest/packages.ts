import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NotPossible } from './not-possible.ts';

const LOGS = fileURLToPath(new URL('../../../build/log/', import.meta.url));

/** What is needed of the machine besides what `make setup` brings, and the Debian package that has it. */
const NEEDED = [
  { program: 'qemu-system-x86_64', package: 'qemu-system-x86' },
  { program: 'busybox', package: 'busybox-static' },
  { program: 'xz', package: 'xz-utils' },
  { program: 'cc', package: 'gcc' },
  { file: '/usr/lib/x86_64-linux-gnu/libc.a', package: 'libc6-dev' },
] as const;

/** Installs by apt what is missing; nothing, and without a word, if all is there. @throws NotPossible */
export function installPackages(say: (line: string) => void): void {
  const missing = NEEDED.filter((need) => ('file' in need ? !existsSync(need.file) : !hasProgram(need.program)));
  if (missing.length === 0) return;
  const names = missing.map((need) => need.package);
  if (process.getuid?.() !== 0 || !hasProgram('apt-get')) {
    throw new NotPossible(`missing, and only root can install them: apt-get install ${names.join(' ')}`);
  }
  say(`installing with apt: ${names.join(' ')}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const lock = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
  // A mirror that is briefly away must not stop us: the lists at hand may do.
  logged('pacing-apt-update', ['apt-get', ...lock, 'update'], environment);
  const install = ['apt-get', ...lock, 'install', '-y', '--no-install-recommends', ...names];
  const problem = logged('pacing-apt-install', install, environment);
  if (problem !== undefined) throw new NotPossible(`apt could not install ${names.join(' ')}:\n${problem}`);
}

/** Undefined: it succeeded; else the end of its log. */
function logged(name: string, [command, ...args]: string[], env: NodeJS.ProcessEnv): string | undefined {
  mkdirSync(LOGS, { recursive: true });
  const path = join(LOGS, `${name}.log`);
  const log = openSync(path, 'w');
  try {
    const { status } = spawnSync(command!, args, { stdio: ['ignore', log, log], env });
    if (status === 0) return undefined;
  } finally {
    closeSync(log);
  }
  return readFileSync(path, 'utf8').split('\n').slice(-20).join('\n');
}

function hasProgram(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
