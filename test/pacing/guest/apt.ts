import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { NotPossible } from './not-possible.ts';

const run = promisify(execFile);
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Lists of a suite take a second or two; a mirror that hangs must not hold a build for ever. */
const TIMEOUT_MS = 300_000;

/** Names of Debian's archives as apt's lists have them, for example bookworm and bookworm-security. */
export type Suite = string;

/**
 * apt with lists, cache and status of its own in `dir`: the machine's are neither read nor changed. The mirrors are
 * those that the machine's own sources name.
 */
export class PrivateApt {
  readonly #dir: string;
  readonly #config: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.#config = join(dir, 'apt.conf');
  }

  /** @throws NotPossible where the machine's sources name no mirror of a suite, or it does not answer */
  static async open(dir: string, suites: readonly Suite[]): Promise<PrivateApt> {
    const apt = new PrivateApt(dir);
    for (const folder of ['lists/partial', 'cache/archives/partial', 'debs']) {
      mkdirSync(join(dir, folder), { recursive: true });
    }
    const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
    const lines = suites.flatMap((suite) => mirrorsOf(suite).map((uri) => `deb ${signed}${uri} ${suite} main\n`));
    writeFileSync(join(dir, 'status'), '');
    writeFileSync(join(dir, 'sources.list'), lines.join(''));
    writeFileSync(
      apt.#config,
      `Dir::State "${dir}"; Dir::State::Lists "${dir}/lists"; Dir::State::status "${dir}/status"; Dir::Cache "${dir}/cache";
Dir::Etc::sourcelist "${dir}/sources.list"; Dir::Etc::sourceparts "-"; Dir::Etc::preferencesparts "-";
Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User "root";\n`,
    );
    await apt.#run('apt-get', ['update', '-qq'], 'the package lists cannot be fetched');
    return apt;
  }

  /** The versioned package behind a meta package: linux-image-cloud-amd64 -> linux-image-6.1.0-56-cloud-amd64. */
  async resolve(meta: string): Promise<string> {
    const text = await this.#run('apt-cache', ['depends', '--important', meta], `${meta} cannot be resolved`);
    const name = /^\s*Depends: (linux-image-\S+)$/m.exec(text)?.[1];
    if (name === undefined) throw new NotPossible(`${meta} depends on no linux-image: ${text.trim()}`);
    return name;
  }

  /** Downloads a package and unpacks it, not installing it. @returns the folder and the package's file name */
  async unpack(name: string): Promise<{ folder: string; file: string }> {
    const debs = join(this.#dir, 'debs', name);
    mkdirSync(debs, { recursive: true });
    await this.#run('apt-get', ['download', '-qq', name], `${name} cannot be downloaded`, debs);
    const file = readdirSync(debs).find((entry) => entry.endsWith('.deb'));
    if (file === undefined) throw new NotPossible(`apt downloaded no package for ${name}`);
    const folder = join(this.#dir, 'unpacked', name);
    mkdirSync(folder, { recursive: true });
    await run('dpkg', ['-x', join(debs, file), folder]);
    return { folder, file };
  }

  async #run(command: string, args: readonly string[], problem: string, cwd = this.#dir): Promise<string> {
    try {
      const env = { ...process.env, APT_CONFIG: this.#config, LC_ALL: 'C' };
      return (await run(command, [...args], { cwd, env, timeout: TIMEOUT_MS })).stdout;
    } catch (error) {
      const { stderr = '' } = error as { stderr?: string };
      throw new NotPossible(`${problem}: ${stderr.trim().split('\n').at(-1) ?? 'no answer'}`);
    }
  }
}

/** A suite's mirrors by the machine's own sources; backports are beside the suite that they are for. */
function mirrorsOf(suite: Suite): string[] {
  const format = '$(REPO_URI) $(CODENAME) $(COMPONENT)';
  const lines = execFileSync('apt-get', ['indextargets', '--format', format, 'Identifier: Packages'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const wanted = suite.replace(/-backports$/, '');
  const uris = lines
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, codename, component]) => component === 'main' && codename === wanted)
    .map(([uri]) => uri!);
  if (uris.length === 0) throw new NotPossible(`the machine's apt sources name no mirror of ${wanted}`);
  return [...new Set(uris)];
}
