/**
 * The part of a kubeconfig that needs no plugin: where each thing is to be read, by client-go's rules (clientcmd). Pure.
 * What is not understood is refused, never left out: who is meant to be somebody else, or to go through a proxy, must
 * not go as somebody or by a way of ours.
 */
import { resolve } from 'node:path';
import { asArray, asObject, asText, type JsonObject } from '../json/json-access.ts';
import { unusableCredentials, type CredentialsFault } from './credentials.ts';

/** In a file, which may be replaced, or as it stands in the kubeconfig. */
export type Material = { readonly file: string } | { readonly bytes: Buffer };

export interface Identity {
  readonly server: string;
  /** PEM; undefined: what this machine trusts. */
  readonly ca: Material | undefined;
  /** The server is taken for whom it says. */
  readonly insecure: boolean;
  /** Expected in the server's certificate instead of its host. */
  readonly serverName: string | undefined;
  readonly token: Material | undefined;
  /** PEM. */
  readonly certificate: Material | undefined;
  readonly key: Material | undefined;
}

const SUPPORTED = 'token, tokenFile, or client-certificate and client-key (as files or -data)';
const GIVE_TOKEN =
  'Give a kubeconfig with a ServiceAccount token (`kubectl create token`), or run in a pod with a ServiceAccount.';

/** Ways to be somebody that are not ours, and what each is called. */
const FOREIGN: readonly (readonly [key: string, name: string])[] = [
  ['exec', 'exec: a plugin that is run for credentials'],
  ['auth-provider', 'auth-provider'],
  ['username', 'username and password'],
  ['password', 'username and password'],
  ['as', 'as: impersonation'],
  ['as-uid', 'as-uid: impersonation'],
  ['as-groups', 'as-groups: impersonation'],
  ['as-user-extra', 'as-user-extra: impersonation'],
];

/**
 * @param path of the kubeconfig, absolute or of the working folder: paths within are relative to its folder
 * @param folder of the kubeconfig
 * @throws NetloomError KUBECONFIG_UNUSABLE
 */
export function identityOf(kubeconfig: unknown, path: string, folder: string): Identity {
  const refuse = (fault: CredentialsFault): never => {
    throw unusableCredentials(path, fault);
  };
  const root = asObject(kubeconfig);
  if (root === undefined) return refuse({ expected: 'a kubeconfig', found: 'something that is no mapping' });

  const entry = (list: string, name: string, key: string, by: string): JsonObject => {
    const entries = asArray(root[list]).map(asObject);
    const found = entries.find((one) => one?.['name'] === name);
    if (found !== undefined) return asObject(found[key]) ?? {};
    const names = entries.map((one) => asText(one?.['name'])).filter((one) => one !== undefined);
    return refuse({ expected: `${by} that is in ${list}`, found: `${quote(name)}; ${list}: ${someOf(names)}` });
  };
  const current = asText(root['current-context']);
  if (current === undefined) {
    const names = asArray(root['contexts']).map((one) => asText(asObject(one)?.['name']) ?? '');
    return refuse({ expected: 'a current-context', found: `none; contexts: ${someOf(names)}` });
  }
  const context = entry('contexts', current, 'context', 'a current-context');
  const clusterName = asText(context['cluster']) ?? '';
  const userName = asText(context['user']) ?? '';
  const cluster = entry('clusters', clusterName, 'cluster', `a cluster of context ${quote(current)}`);
  const user = entry('users', userName, 'user', `a user of context ${quote(current)}`);
  const ofCluster = `cluster ${quote(clusterName)}`;
  const ofUser = `user ${quote(userName)}`;

  if (isSet(cluster['proxy-url'])) {
    refuse({
      message: 'the way to the API server is not supported',
      within: ofCluster,
      expected: 'a server that is reached directly',
      found: 'proxy-url',
      remedy: 'Give a kubeconfig whose server this node reaches without a proxy.',
    });
  }
  const foreign = FOREIGN.find(([key]) => isSet(user[key]));
  if (foreign !== undefined) {
    refuse({
      message: 'this way to say who we are is not supported',
      within: ofUser,
      expected: SUPPORTED,
      found: foreign[1],
      remedy: GIVE_TOKEN,
    });
  }

  const server = asText(cluster['server']);
  if (server === undefined || !isHttpUrl(server)) {
    return refuse({ within: ofCluster, expected: 'a server as https://HOST:PORT', found: quote(server) });
  }
  const material = (of: JsonObject, key: string, within: string): Material | undefined => {
    const data = of[`${key}-data`];
    if (isSet(data))
      return pemOf(data) ?? refuse({ within, expected: `PEM as base64 in ${key}-data`, found: 'no PEM' });
    return fileOf(of[key], folder);
  };
  const ca = material(cluster, 'certificate-authority', ofCluster);
  const insecure = cluster['insecure-skip-tls-verify'] === true;
  if (ca !== undefined && insecure) {
    refuse({
      within: ofCluster,
      expected: 'either certificate-authority or insecure-skip-tls-verify',
      found: 'both',
      remedy: 'Remove insecure-skip-tls-verify.',
    });
  }
  const certificate = material(user, 'client-certificate', ofUser);
  const key = material(user, 'client-key', ofUser);
  if ((certificate === undefined) !== (key === undefined)) {
    const [has, lacks] =
      key === undefined ? ['client-certificate', 'client-key'] : ['client-key', 'client-certificate'];
    refuse({ within: ofUser, expected: `${lacks} beside ${has}`, found: 'none' });
  }
  const token = asText(user['token']);
  return {
    server,
    ca,
    insecure,
    serverName: asText(cluster['tls-server-name']),
    // A file, whose token is renewed, goes before a token beside it (clientcmd/api/types.go, AuthInfo).
    token: fileOf(user['tokenFile'], folder) ?? (token === undefined ? undefined : { bytes: Buffer.from(token) }),
    certificate,
    key,
  };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:');
}

function fileOf(value: unknown, folder: string): Material | undefined {
  const path = asText(value);
  return path === undefined ? undefined : { file: resolve(folder, path) };
}

function pemOf(data: unknown): Material | undefined {
  if (typeof data !== 'string') return undefined;
  const bytes = Buffer.from(data, 'base64');
  return bytes.includes('-----BEGIN ') ? { bytes } : undefined;
}

function quote(text: string | undefined): string {
  return text === undefined || text === '' ? 'none' : JSON.stringify(text.slice(0, 200));
}

function someOf(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  return `${names.slice(0, 5).map(quote).join(', ')}${names.length > 5 ? `, and ${names.length - 5} more` : ''}`;
}
