import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PrivateApt } from './apt.ts';
import { KERNELS, MODULES, type KernelName } from './kernels.ts';
import { NotPossible } from './not-possible.ts';

const run = promisify(execFile);
const META_PACKAGE = 'linux-image-cloud-amd64';
const MANIFEST = 'manifest.json';

export interface Kernel {
  readonly name: KernelName;
  /** As `uname -r` says it. */
  readonly release: string;
  readonly image: string;
  /** Paths of the modules, each after those it needs. */
  readonly modules: readonly string[];
}

interface Manifest {
  readonly package: string;
  readonly release: string;
  /** File names in the order of loading; vmlinuz is not among them. */
  readonly modules: readonly string[];
  /** SHA-256 of every file. */
  readonly sums: Readonly<Record<string, string>>;
}

/**
 * Debian's kernel of that name, kept in ${XDG_CACHE_HOME:-~/.cache}/netloom: a second call downloads nothing as long as
 * every file has its checksum.
 * @throws NotPossible
 */
export async function debianKernel(name: KernelName, say: (line: string) => void): Promise<Kernel> {
  const inputs = JSON.stringify([KERNELS[name], MODULES, META_PACKAGE]);
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'netloom');
  const folder = join(cache, `guest-${name}-${sha256(inputs).slice(0, 16)}`);
  const manifest = readManifest(folder) ?? (await fetchKernel(name, folder, say));
  return {
    name,
    release: manifest.release,
    image: join(folder, 'vmlinuz'),
    modules: manifest.modules.map((file) => join(folder, file)),
  };
}

/** Undefined: incomplete, or a file is not what was fetched. */
function readManifest(folder: string): Manifest | undefined {
  if (!existsSync(join(folder, MANIFEST))) return undefined;
  const manifest = JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8')) as Manifest;
  const whole = Object.entries(manifest.sums).every(([file, sum]) => {
    const path = join(folder, file);
    return existsSync(path) && sha256(readFileSync(path)) === sum;
  });
  return whole ? manifest : undefined;
}

async function fetchKernel(name: KernelName, folder: string, say: (line: string) => void): Promise<Manifest> {
  if (process.arch !== 'x64') throw new NotPossible(`the guests are x86-64, this machine is ${process.arch}`);
  mkdirSync(dirname(folder), { recursive: true });
  const making = mkdtempSync(`${folder}.`);
  try {
    const apt = await PrivateApt.open(join(making, 'apt'), KERNELS[name].suites);
    const packageName = await apt.resolve(META_PACKAGE);
    say(`fetching kernel ${name}: ${packageName}`);
    if (!packageName.startsWith(`linux-image-${name}.`)) {
      throw new NotPossible(`${META_PACKAGE} of ${KERNELS[name].suites.join(', ')} is ${packageName}, not ${name}`);
    }
    const { folder: root, file } = await apt.unpack(packageName);
    const manifest = await keep(root, file, making);
    rmSync(join(making, 'apt'), { recursive: true });
    rmSync(folder, { recursive: true, force: true });
    renameSync(making, folder);
    return manifest;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

/** vmlinuz and the modules, unpacked, of a package that was unpacked at `root`. */
async function keep(root: string, file: string, into: string): Promise<Manifest> {
  const image = globSync(join(root, 'boot/vmlinuz-*'))[0];
  if (image === undefined) throw new NotPossible(`${file} has no boot/vmlinuz`);
  const release = basename(image).slice('vmlinuz-'.length);
  const found = new Map(globSync(join(root, '**/*.ko*')).map((path) => [moduleName(path), path]));
  const builtin = new Set(
    globSync(join(root, '**/modules.builtin')).flatMap((path) =>
      readFileSync(path, 'utf8').split('\n').map(moduleName),
    ),
  );
  const sums: Record<string, string> = {};
  const save = (name: string, bytes: Buffer): void => {
    writeFileSync(join(into, name), bytes);
    sums[name] = sha256(bytes);
  };
  const modules: string[] = [];
  const done = new Set<string>();
  const load = async (name: string): Promise<void> => {
    if (done.has(name) || builtin.has(name)) return;
    done.add(name);
    const path = found.get(name);
    if (path === undefined) throw new NotPossible(`${file} has no module ${name}`);
    const bytes = await unpacked(path);
    for (const needed of dependencies(bytes)) await load(needed);
    save(`${name}.ko`, bytes);
    modules.push(`${name}.ko`);
  };
  for (const name of MODULES) await load(name);
  copyFileSync(image, join(into, 'vmlinuz'));
  sums['vmlinuz'] = sha256(readFileSync(image));
  const manifest: Manifest = { package: file, release, modules, sums };
  writeFileSync(join(into, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

async function unpacked(path: string): Promise<Buffer> {
  if (path.endsWith('.ko')) return readFileSync(path);
  const program = path.endsWith('.xz') ? 'xz' : 'zstd';
  const { stdout } = await run(program, ['-dc', path], { encoding: 'buffer', maxBuffer: 1 << 27 });
  return stdout;
}

/** The names in `depends=` of a module's .modinfo. */
function dependencies(module: Buffer): string[] {
  const at = module.indexOf('\0depends=');
  if (at < 0) return [];
  const start = at + '\0depends='.length;
  const text = module.subarray(start, module.indexOf(0, start)).toString('latin1');
  return text === '' ? [] : text.split(',').map((name) => name.replaceAll('-', '_'));
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\..*)?$/, '')
    .replaceAll('-', '_');
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
