/**
 * What the node agent loads to know its pods, in a process of its own: prints one line of JSON once they were listed.
 * Arguments: kubeconfig, node.
 */
import { registerHooks } from 'node:module';

const loaded: string[] = [];
registerHooks({
  load(url, context, next) {
    loaded.push(url);
    return next(url, context);
  },
});
const bareBytes = process.memoryUsage.rss();

const { ApiPods } = await import('../../bandwidth/pods/api-pods.ts');
const { fileCredentials } = await import('../../lib/kube/file-credentials.ts');
const { KubeClient } = await import('../../lib/kube/kube-client.ts');
const { silentLogger } = await import('../../lib/log.ts');

const [kubeconfig, node] = process.argv.slice(2) as [string, string];
const api = await KubeClient.create(fileCredentials({ kubeconfig }));
const source = new ApiPods({ api, node, logger: silentLogger });
const pods = await new Promise<number>((resolve, reject) => {
  source.start({ pods: (list) => resolve(list.length), failed: reject });
});
await source.stop();
const packages = loaded.map((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]);
console.log(
  JSON.stringify({
    pods,
    files: loaded.length,
    packages: [...new Set(packages.filter((name) => name !== undefined))],
    bareBytes,
    rssBytes: process.memoryUsage.rss(),
  }),
);
