import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpioParts, type CpioEntry } from './cpio.ts';
import type { Kernel } from './kernel.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BUILD = join(ROOT, 'build', 'pacing');
const HERE = 'test/pacing/guest';

/** Of the project, what runs in a guest; the agent and all that it can reach. */
const SOURCES = '{bin,cli,lib,proto,collector,bandwidth}/**/*.{ts,js,proto}';
/** How programs are run on test data. */
const TEST_RUNS = 'test/kernel/limit-support/{limit-object,frames}.ts';
const SCRIPTS = ['bin/netloom', 'scripts/node', 'package.json'];
/** Packages that the agent imports; with what these need. */
const PACKAGES = ['koffi', '@koromix/koffi-linux-x64', '@grpc/grpc-js', 'protobufjs', 'prom-client', 'yaml'];
/** Programs of this machine, with their libraries. */
const PROGRAMS = ['ip', 'tc', 'nft'];
const LIBRARIES = ['libbpf.so.1'];
const APPLETS = [
  'sh',
  'mount',
  'mkdir',
  'sed',
  'insmod',
  'poweroff',
  'cat',
  'sleep',
  'ls',
  'ps',
  'kill',
  'dirname',
  'uname',
  'readlink',
];

/**
 * The first file system of a guest, self-contained: reading from the host would take time that the guest's clock, which
 * counts instructions, does not see. Made anew only if something in it changed.
 * @returns its path
 */
export function buildImage(kernel: Kernel): string {
  mkdirSync(BUILD, { recursive: true });
  execFileSync(join(ROOT, 'scripts', 'build-bpf.sh'), { stdio: ['ignore', 'inherit', 'inherit'] });
  const entries = [
    ...projectEntries(),
    ...packageEntries(),
    ...systemEntries(),
    ...kernelEntries(kernel),
    { path: 'bin/load', content: { file: readFileSync(loadProgram()), executable: true } },
    { path: 'init', content: { file: readFileSync(join(ROOT, HERE, 'init.sh')), executable: true } },
  ];
  const parts = cpioParts(entries);
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  const sum = hash.digest('hex');
  const image = join(BUILD, `guest-${kernel.name}.cpio`);
  const stamp = `${image}.sha256`;
  if (existsSync(image) && existsSync(stamp) && readFileSync(stamp, 'utf8') === sum) return image;
  const temporary = `${image}.${process.pid}`;
  const fd = openSync(temporary, 'w');
  for (const part of parts) writeSync(fd, part);
  closeSync(fd);
  renameSync(temporary, image);
  writeFileSync(stamp, sum);
  return image;
}

function projectEntries(): CpioEntry[] {
  const own = globSync(['test/pacing/cases/**/*.ts', `${HERE}/*.{ts,js}`, TEST_RUNS], { cwd: ROOT });
  const files = globSync(SOURCES, { cwd: ROOT }).filter((path) => !path.includes('node_modules/'));
  const objects = globSync('build/bpf/*.bpf.o', { cwd: ROOT });
  return [
    ...[...files, ...own, ...objects, ...SCRIPTS].sort().map((path): CpioEntry => {
      const bytes = readFileSync(join(ROOT, path));
      const file = path.endsWith('.ts') ? Buffer.from(stripTypeScriptTypes(bytes.toString('utf8'))) : bytes;
      const executable = (statSync(join(ROOT, path)).mode & 0o111) !== 0;
      return { path: `netloom/${path}`, content: { file, executable } };
    }),
  ];
}

function packageEntries(): CpioEntry[] {
  const folder = join(ROOT, 'node_modules');
  const names = new Set<string>();
  const visit = (name: string): void => {
    const manifest = join(folder, name, 'package.json');
    // Optional ones of other platforms are not there.
    if (names.has(name) || !existsSync(manifest)) return;
    names.add(name);
    const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    Object.keys(dependencies).forEach(visit);
  };
  PACKAGES.forEach(visit);
  return [...names].sort().flatMap((name) =>
    globSync('**/*.{js,cjs,mjs,json,node,proto}', { cwd: join(folder, name) })
      .filter((path) => !/(^|\/)(doc|docs|test|tests|vendor|musl_x64)\//.test(path))
      .filter((path) => lstatSync(join(folder, name, path)).isFile())
      .sort()
      .map((path) => ({
        path: `netloom/node_modules/${name}/${path}`,
        content: { file: readFileSync(join(folder, name, path)) },
      })),
  );
}

/** Node, the shell, and the network's programs, at the places where this machine has them. */
function systemEntries(): CpioEntry[] {
  const programs = PROGRAMS.map(which);
  const node = process.execPath;
  const addons = globSync(join(ROOT, 'node_modules/@koromix/koffi-linux-x64/linux_x64/*.node'));
  const libraries = new Set<string>();
  for (const path of [node, ...programs, ...addons]) librariesOf(path).forEach((library) => libraries.add(library));
  for (const name of LIBRARIES) {
    const path = libraryPath(name);
    libraries.add(path);
    librariesOf(path).forEach((library) => libraries.add(library));
  }
  const busybox = readFileSync(which('busybox'));
  return [
    { path: 'bin/node', content: { file: readFileSync(strippedNode(node)), executable: true } },
    { path: 'bin/busybox', content: { file: busybox, executable: true } },
    ...APPLETS.map((name) => ({ path: `bin/${name}`, content: { link: '/bin/busybox' } })),
    ...programs.map((path) => ({
      path: `bin/${basename(path)}`,
      content: { file: readFileSync(realpathSync(path)), executable: true },
    })),
    ...[...libraries]
      .sort()
      .map((path) => ({ path: path.slice(1), content: { file: readFileSync(path), executable: true } })),
    ...['proc', 'sys', 'dev', 'run', 'tmp', 'etc'].map((path) => ({
      path: `${path}/.keep`,
      content: { file: Buffer.alloc(0) },
    })),
  ];
}

function kernelEntries(kernel: Kernel): CpioEntry[] {
  const order = kernel.modules.map((path) => `${basename(path)}\n`).join('');
  return [
    ...kernel.modules.map((path) => ({ path: `modules/${basename(path)}`, content: { file: readFileSync(path) } })),
    { path: 'modules/order', content: { file: Buffer.from(order) } },
  ];
}

/** Node without its symbol table, which is a fifth of it; a guest holds the file in memory. */
function strippedNode(node: string): string {
  const out = join(BUILD, `node-${process.version}`);
  if (existsSync(out)) return out;
  const temporary = `${out}.${process.pid}`;
  execFileSync('llvm-strip', ['-s', '-o', temporary, node]);
  renameSync(temporary, out);
  return out;
}

/** The traffic program, compiled once for each content of its source. */
function loadProgram(): string {
  const source = join(ROOT, HERE, 'load.c');
  const out = join(BUILD, `load-${createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)}`);
  if (existsSync(out)) return out;
  const temporary = `${out}.${process.pid}`;
  execFileSync('cc', ['-O2', '-static', '-Wall', '-Wextra', '-Werror', '-o', temporary, source], { stdio: 'inherit' });
  renameSync(temporary, out);
  return out;
}

function which(name: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  const path = folders.map((folder) => join(folder, name)).find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** As the dynamic linker finds them, itself included. */
function librariesOf(path: string): string[] {
  const text = execFileSync('ldd', [path], { encoding: 'utf8' });
  return [...text.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
}

function libraryPath(name: string): string {
  const text = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  const line = text.split('\n').find((entry) => entry.trim().startsWith(`${name} `) && entry.includes('x86-64'));
  const path = line?.split(' => ')[1];
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}
