import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** Gone at run time. */
  readonly typeOnly: boolean;
  /** `import()`: loaded only when reached. */
  readonly dynamic: boolean;
  /** `new URL('./x.ts', import.meta.url)`: how worker threads and child programs are named. */
  readonly url: boolean;
}

export interface Source {
  /** From the root of the project, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
  readonly imports: readonly Import[];
}

/** Every TypeScript file of ours. */
export function readSources(): ReadonlyMap<string, Source> {
  const folders = '{bin,cli,lib,proto,collector,scheduler,bandwidth,lab,demo,test,bench,scripts}/**/*.ts';
  const sources = new Map<string, Source>();
  for (const path of globSync([folders, '*.ts'], { cwd: ROOT }).sort()) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    sources.set(path, { path, text, tree, imports: importsOf(tree) });
  }
  return sources;
}

function importsOf(tree: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, rest: Partial<Import>): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const line = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
    found.push({ specifier: specifier.text, line, typeOnly: false, dynamic: false, url: false, ...rest });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause;
      const named = clause?.namedBindings;
      const allTypes =
        clause !== undefined &&
        clause.name === undefined &&
        named !== undefined &&
        ts.isNamedImports(named) &&
        named.elements.length > 0 &&
        named.elements.every((element) => element.isTypeOnly);
      // `import { type A } from` still runs the module (verbatimModuleSyntax), but is written by slip only: lint forbids it.
      add(node, node.moduleSpecifier, { typeOnly: clause?.isTypeOnly === true || allTypes });
    } else if (ts.isExportDeclaration(node)) {
      add(node, node.moduleSpecifier, { typeOnly: node.isTypeOnly });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node, node.argument.literal, { typeOnly: true });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], { dynamic: true });
    } else if (ts.isNewExpression(node) && node.expression.getText(tree) === 'URL') {
      if (node.arguments?.[1]?.getText(tree) === 'import.meta.url') add(node, node.arguments[0], { url: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Path of a relative import from the root; undefined: a package or a built-in. */
export function targetOf(source: Source, specifier: string): string | undefined {
  return specifier.startsWith('.') ? normalize(join(dirname(source.path), specifier)) : undefined;
}

/** Name of the package of a bare import: '@a/b/c' -> '@a/b'; undefined: relative or built-in. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:') || specifier.startsWith('#')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

export interface Reach {
  readonly files: ReadonlySet<string>;
  /** Bare and `node:` specifiers, each with the file that imports it first. */
  readonly outside: ReadonlyMap<string, string>;
  /** From where each file was first reached. */
  readonly via: ReadonlyMap<string, string>;
}

/** Everything that is loaded at run time from `start`. */
export function reachableFrom(
  sources: ReadonlyMap<string, Source>,
  start: string,
  follow: { readonly dynamic: boolean; readonly url: boolean },
): Reach {
  const files = new Set<string>();
  const outside = new Map<string, string>();
  const via = new Map<string, string>();
  const queue = [start];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (files.has(path)) continue;
    files.add(path);
    const source = sources.get(path);
    if (source === undefined) continue;
    for (const item of source.imports) {
      if (item.typeOnly || (item.dynamic && !follow.dynamic) || (item.url && !follow.url)) continue;
      const target = targetOf(source, item.specifier);
      if (target === undefined) {
        if (!item.url && !outside.has(item.specifier)) outside.set(item.specifier, path);
      } else if (!files.has(target)) {
        if (!via.has(target)) via.set(target, path);
        queue.push(target);
      }
    }
  }
  return { files, outside, via };
}

/** 'a.ts <- b.ts <- c.ts': how `path` was reached. */
export function chain(reach: Reach, path: string): string {
  const steps = [path];
  for (let at = reach.via.get(path); at !== undefined && steps.length < 20; at = reach.via.get(at)) steps.push(at);
  return steps.join(' <- ');
}
