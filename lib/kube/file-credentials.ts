import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { dirname } from 'node:path';
import { createSecureContext } from 'node:tls';
import { messageOf, NetloomError } from '../errors.ts';
import { unusableCredentials, type CredentialsPlace, type ReadCredentials } from './credentials.ts';
import { identityOf, type Identity, type Material } from './kubeconfig.ts';
import { serviceAccount } from './service-account.ts';

/**
 * Credentials that are files: of a kubeconfig without plugins, or the pod's ServiceAccount. Own code for the node agent,
 * for whom @kubernetes/client-node would be 87 MB. Tokens, certificates and keys are read for every request, so that the
 * newest are used; requests are few.
 * @param env where KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are looked for
 */
export function fileCredentials(place: CredentialsPlace, env: NodeJS.ProcessEnv = process.env): ReadCredentials {
  return async () => {
    try {
      const identity = await readIdentity(place, env);
      const credentials = { server: identity.server, apply: (options: RequestOptions) => apply(identity, options) };
      // A wrong path, or a key that belongs to another certificate, is told here and not by a handshake.
      const options: RequestOptions = {};
      await credentials.apply(options);
      const { ca, cert, key } = options;
      createSecureContext({ ca, cert, key });
      return credentials;
    } catch (error) {
      if (error instanceof NetloomError) throw error;
      throw unusableCredentials(place.kubeconfig, {
        expected: place.kubeconfig === undefined ? 'a mounted token and ca.crt' : 'files that can be used',
        found: messageOf(error),
        cause: error,
      });
    }
  };
}

async function readIdentity({ kubeconfig, root = '/' }: CredentialsPlace, env: NodeJS.ProcessEnv): Promise<Identity> {
  if (kubeconfig === undefined) return serviceAccount(env, root);
  return identityOf(await parseYaml(await readFile(kubeconfig, 'utf8'), kubeconfig), kubeconfig, dirname(kubeconfig));
}

/** Its errors show no line of the file: there are secrets in it. */
async function parseYaml(text: string, path: string): Promise<unknown> {
  const { LineCounter, parseDocument } = await import('yaml');
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'silent' });
  const [error] = document.errors;
  if (error === undefined) return document.toJS() as unknown;
  const { line } = lineCounter.linePos(error.pos[0]);
  throw unusableCredentials(path, {
    within: `line ${line}`,
    expected: 'a kubeconfig in YAML or JSON',
    found: `no YAML: ${error.code}`,
  });
}

async function apply(identity: Identity, options: RequestOptions): Promise<void> {
  const { insecure, serverName } = identity;
  const [ca, certificate, key, token] = await Promise.all(
    [identity.ca, identity.certificate, identity.key, identity.token].map(bytesOf),
  );
  // An empty list of authorities would be one that trusts nobody, without a word why.
  if (ca?.includes('CERTIFICATE-----') === false) throw new Error(`no certificate${fileName(identity.ca)}`);
  if (ca !== undefined) options.ca = ca;
  if (insecure) options.rejectUnauthorized = false;
  if (serverName !== undefined) options.servername = serverName;
  if (certificate !== undefined) options.cert = certificate;
  if (key !== undefined) options.key = key;
  if (token === undefined) return;
  const text = token.toString('utf8').trim();
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Error(`the token${fileName(identity.token)} is empty, or no token`);
  options.headers = { ...(options.headers as Record<string, string>), authorization: `Bearer ${text}` };
}

async function bytesOf(material: Material | undefined): Promise<Buffer | undefined> {
  return material === undefined || 'bytes' in material ? material?.bytes : readFile(material.file);
}

function fileName(material: Material | undefined): string {
  return material !== undefined && 'file' in material ? ` in ${material.file}` : '';
}
