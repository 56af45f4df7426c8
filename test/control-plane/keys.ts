import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeFile } from 'node:fs/promises';

const run = promisify(execFile);
const DAYS = '2';

/** A private key, and a certificate for it, as files. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority in a folder of its own; everything is EC P-256 and ends with the test. */
export class Authority {
  readonly folder: string;
  readonly name: string;
  /** Its certificate, PEM. */
  readonly cert: string;
  readonly #key: string;

  private constructor(folder: string, name: string) {
    this.folder = folder;
    this.name = name;
    this.cert = join(folder, `${name}.crt`);
    this.#key = join(folder, `${name}.key`);
  }

  static async create(folder: string, name: string): Promise<Authority> {
    const authority = new Authority(folder, name);
    await createKey(authority.#key);
    await openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      authority.#key,
      '-subj',
      `/CN=${name}`,
      '-days',
      DAYS,
      '-out',
      authority.cert,
    );
    return authority;
  }

  /** @param subject such as `/O=system:masters/CN=admin`; @param names subjectAltName, such as `IP:127.0.0.1,DNS:localhost` */
  async issue(file: string, subject: string, names?: string): Promise<KeyPair> {
    const pair = { cert: join(this.folder, `${file}.crt`), key: join(this.folder, `${file}.key`) };
    const request = join(this.folder, `${file}.csr`);
    const extensions = join(this.folder, `${file}.ext`);
    await createKey(pair.key);
    await openssl('req', '-new', '-key', pair.key, '-subj', subject, '-out', request);
    const usage = names === undefined ? 'clientAuth' : 'serverAuth,clientAuth';
    await writeFile(extensions, `extendedKeyUsage=${usage}\n${names === undefined ? '' : `subjectAltName=${names}\n`}`);
    await openssl(
      ...['x509', '-req', '-in', request, '-CA', this.cert, '-CAkey', this.#key, '-CAcreateserial'],
      ...['-days', DAYS, '-extfile', extensions, '-out', pair.cert],
    );
    return pair;
  }
}

/** A key pair for ServiceAccount tokens: the private key's file serves for signing and for checking. */
export async function createKey(file: string): Promise<void> {
  await openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file);
}

async function openssl(...args: string[]): Promise<void> {
  await run('openssl', args);
}
