import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { asArray, asObject, asText } from '../../lib/json/json-access.ts';
import { unusableCredentials, type Credentials, type CredentialsPlace } from '../../lib/kube/credentials.ts';
import { KubeClient } from '../../lib/kube/kube-client.ts';

/** @throws NetloomError KUBECONFIG_UNUSABLE */
export function connectKube(place: CredentialsPlace): Promise<KubeClient> {
  return KubeClient.create(() => readCredentials(place));
}

/**
 * Certificates, exec plugins and proxies are client-node's work. The token of a file is read for every request, so that
 * the newest is used: client-node knows no `tokenFile` of a kubeconfig, and holds that of a pod for a minute, in which a
 * revoked one is refused.
 * @throws NetloomError KUBECONFIG_UNUSABLE
 */
async function readCredentials({ kubeconfig, root }: CredentialsPlace): Promise<Credentials> {
  // 90 MB and a quarter of a second, which only who asks for an API server pays.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  let tokenFile: string | undefined;
  try {
    if (kubeconfig === undefined) {
      if (
        (process.env['KUBERNETES_SERVICE_HOST'] ?? '') === '' ||
        (process.env['KUBERNETES_SERVICE_PORT'] ?? '') === ''
      ) {
        throw new Error('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod');
      }
      config.loadFromCluster(root ?? '');
      tokenFile = asText(asObject(asObject(config.getCurrentUser()?.authProvider)?.['config'])?.['tokenFile']);
    } else {
      const text = await readFile(kubeconfig, 'utf8');
      config.loadFromString(text);
      config.makePathsAbsolute(dirname(kubeconfig));
      tokenFile = await tokenFileOf(text, config.getCurrentUser()?.name, dirname(kubeconfig));
    }
  } catch (error) {
    throw unusableCredentials(kubeconfig, {
      expected:
        kubeconfig === undefined ? 'to run in a pod with a mounted token, or --kubeconfig FILE' : 'a kubeconfig',
      found: messageOf(error),
      cause: error,
    });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null || !URL.canParse(cluster.server)) {
    throw unusableCredentials(kubeconfig, {
      expected: 'a current context that names a cluster with a server',
      found: `current-context ${JSON.stringify(config.getCurrentContext())}, server ${JSON.stringify(cluster?.server)}`,
    });
  }
  return {
    server: cluster.server,
    async apply(options) {
      await config.applyToHTTPSOptions(options);
      if (tokenFile === undefined) return;
      const token = (await readFile(tokenFile, 'utf8')).trim();
      if (token === '') throw new Error(`the token file ${tokenFile} is empty`);
      options.headers = { ...(options.headers as Record<string, string>), Authorization: `Bearer ${token}` };
    },
  };
}

/** As client-go: relative to the kubeconfig's folder, and before a `token` beside it (clientcmd/api/types.go, AuthInfo). */
async function tokenFileOf(text: string, user: string | undefined, folder: string): Promise<string | undefined> {
  const { parse } = await import('yaml');
  const users = asArray(asObject(parse(text))?.['users']).map(asObject);
  const found = users.find((entry) => entry?.['name'] === user);
  const file = asText(asObject(found?.['user'])?.['tokenFile']);
  return file === undefined ? undefined : resolve(folder, file);
}
