'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (name, props = {}, ...children) => {
    const node = Object.assign(document.createElement(name), props);
    node.append(...children);
    return node;
  };

  // ---- theme -------------------------------------------------------------------------------------------------------
  const themes = ['system', 'light', 'dark'];
  const remembered = (set) => {
    try {
      if (set) localStorage.setItem('zoo-theme', set);
      return localStorage.getItem('zoo-theme');
    } catch { return null; }
  };
  const theme = (name) => {
    if (name === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    $('theme').textContent = `Theme: ${name}`;
    $('theme').dataset.now = name;
  };
  theme(themes.includes(remembered()) ? remembered() : 'system');
  $('theme').addEventListener('click', () => {
    const next = themes[(themes.indexOf($('theme').dataset.now) + 1) % themes.length];
    remembered(next);
    theme(next);
  });

  // ---- the table ---------------------------------------------------------------------------------------------------
  for (const box of document.querySelectorAll('[data-shows]')) {
    const show = () => {
      const what = box.dataset.shows;
      if (what === 'unfolded') $('table').classList.toggle('folded', !box.checked);
      else $('table').classList.toggle(what, box.checked);
    };
    box.addEventListener('change', show);
    show();
  }

  if (!$('samples')) return;

  // ---- samples: verdicts, a byte for each column and document ------------------------------------------------------
  const WRONG = 0, RIGHT = 1, PART = 2, ABSENT = 255;
  const SIGNS = { [WRONG]: '✗', [RIGHT]: '✓', [PART]: '~' };
  const WORDS = { [WRONG]: 'wrong', [RIGHT]: 'right', [PART]: 'in part' };
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const index = JSON.parse($('index').textContent);
  const columns = index.columns;
  const tasks = index.tasks;
  let total = 0;
  for (const [at, task] of tasks.entries()) {
    const [ids, length, kept, verdicts] = JSON.parse($(`verdicts-${at}`).textContent);
    task.verdicts = verdicts.map((text) => (text === null ? null : bytes(text)));
    task.first = total;
    task.length = length;
    task.kept = kept;
    task.ids = ids;
    total += task.length;
  }
  const taskOf = new Uint16Array(total);
  for (const [at, task] of tasks.entries()) taskOf.fill(at, task.first, task.first + task.length);
  const idOf = (task, place) => (task.ids === null ? place : task.ids[place]);
  const verdict = (task, column, place) => {
    const own = task.verdicts[column];
    return own === null ? ABSENT : own[place];
  };

  // ---- texts: packed, a block for each task, unpacked when somebody looks ------------------------------------------
  const unpack = async (at) => {
    const packed = $(`texts-${at}`);
    const stream = new Blob([bytes(packed.textContent)]).stream().pipeThrough(new DecompressionStream('gzip'));
    const block = JSON.parse(await new Response(stream).text());
    packed.textContent = '';
    return block;
  };
  const block = (at) => {
    const task = tasks[at];
    task.asked ??= unpack(at).then((block) => {
      task.block = block;
      return block;
    });
    return task.asked;
  };
  const DOCUMENT = { sha256: '', before: null, question: '', choices: [], prompts: [], turns: [], target: null, gold: [] };
  const ANSWER = { logprobs: [], ids: [], texts: [], extracted: {}, metrics: {}, programs: [], tokens: null, cut: false, prompt: null, order: null };
  const documentOf = (block, place) => ({ ...DOCUMENT, ...block.documents[place] });
  const answerOf = (block, column, place) => {
    const own = block.answers[column] && block.answers[column][place];
    return own ? { ...ANSWER, ...own } : null;
  };
  // What is searched: question, choices, right answer, and what models wrote; not the examples.
  const searched = (task) => {
    task.words ??= task.block.documents.map((_, place) => {
      const doc = documentOf(task.block, place);
      const written = columns.map((_, column) => answerOf(task.block, column, place)?.texts.join('\n') ?? '');
      return [doc.question, ...doc.choices, ...doc.prompts, ...doc.turns, doc.target ?? '', ...written].join('\n').toLowerCase();
    });
    return task.words;
  };

  // ---- foreign text ------------------------------------------------------------------------------------------------
  const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  const shown = (text) => text.replace(OBEYED, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
  const LONG = 20000;
  const long = (text, name = 'pre') => {
    const node = make(name, { textContent: shown(text.slice(0, LONG)), dir: 'auto' });
    if (name === 'pre') node.tabIndex = 0;
    if (text.length <= LONG) return [node];
    const more = make('button', { type: 'button', textContent: `show all ${text.length.toLocaleString('en')} characters` });
    more.addEventListener('click', () => {
      node.textContent = shown(text);
      more.remove();
    });
    return [node, more];
  };

  // ---- what is chosen ----------------------------------------------------------------------------------------------
  const options = (select, all) => select.replaceChildren(...all.map(([value, text]) => make('option', { value, textContent: shown(text) })));
  const suites = index.suites;
  options($('suite'), [['', 'all'], ...suites.map((name, at) => [String(at), name])]);
  const taskOptions = () => {
    const suite = $('suite').value;
    const own = tasks.map((task, at) => [String(at), task.name]).filter(([at]) => suite === '' || tasks[at].suites.includes(Number(suite)));
    options($('task'), [['', `all ${own.length}`], ...own]);
  };
  taskOptions();
  options($('a'), columns.map((name, at) => [String(at), name]));
  options($('b'), [['', 'any other'], ...columns.map((name, at) => [String(at), name])]);
  if (columns.length < 2) {
    $('b').parentElement.hidden = true;
    for (const option of $('show').options) option.hidden = ['disagree', 'lost', 'won'].includes(option.value);
  }

  let found = new Uint32Array(0);
  let current = -1;
  let asked = 0;

  // Whether a document is one of those that are to be shown, by verdicts alone.
  const test = () => {
    const show = $('show').value;
    const a = Number($('a').value);
    const others = $('b').value === '' ? columns.map((_, at) => at).filter((at) => at !== a) : [Number($('b').value)];
    const isRight = (code) => code === RIGHT;
    const isWrong = (code) => code === WRONG || code === PART;
    switch (show) {
      case 'all': return () => true;
      case 'right': return (task, place) => isRight(verdict(task, a, place));
      case 'wrong': return (task, place) => isWrong(verdict(task, a, place));
      default: return (task, place) => {
        const own = verdict(task, a, place);
        if (!isRight(own) && !isWrong(own)) return false;
        if (show === 'lost' && isRight(own)) return false;
        if (show === 'won' && isWrong(own)) return false;
        return others.some((b) => {
          const other = verdict(task, b, place);
          return isRight(own) ? isWrong(other) : isRight(other);
        });
      };
    }
  };

  const wanted = () => {
    const [suite, task] = [$('suite').value, $('task').value];
    const all = tasks.map((_, at) => at);
    return task === '' ? all.filter((at) => suite === '' || tasks[at].suites.includes(Number(suite))) : [Number(task)];
  };

  const filter = async () => {
    const mine = ++asked;
    const begun = performance.now();
    const words = $('search').value.trim().toLowerCase();
    const [own, keep] = [wanted(), test()];
    const hits = new Uint32Array(total);
    let n = 0;
    for (const [done, at] of own.entries()) {
      const task = tasks[at];
      if (words !== '' && !task.block) {
        $('count').textContent = `searching: ${done} of ${own.length} tasks`;
        await block(at);
        if (mine !== asked) return;
      }
      const texts = words === '' ? null : searched(task);
      for (let place = 0; place < task.length; place++) {
        if (keep(task, place) && (texts === null || texts[place].includes(words))) hits[n++] = task.first + place;
      }
    }
    found = hits.slice(0, n);
    const kept = found.indexOf(current);
    const all = own.reduce((sum, at) => sum + tasks[at].length, 0);
    $('count').textContent = `${n.toLocaleString('en')} of ${all.toLocaleString('en')} documents`;
    $('list').dataset.took = (performance.now() - begun).toFixed(1);
    draw(true);
    if (kept >= 0) scrollTo(kept);
    else $('list').scrollTop = 0;
  };

  // ---- the list: only the rows that are in sight are there ---------------------------------------------------------
  const ROW = 34;
  const list = $('list');
  const spacer = make('div', { ariaHidden: 'true' });
  list.append(spacer);
  const rows = new Map();
  const row = (at) => {
    const global = found[at];
    const task = tasks[taskOf[global]];
    const place = global - task.first;
    const signs = columns.map((_, column) => {
      const code = verdict(task, column, place);
      const kind = code === RIGHT ? 'right' : code === WRONG || code === PART ? 'wrong' : '';
      return make('span', { className: kind, textContent: SIGNS[code] ?? '·' });
    });
    const said = columns.map((name, column) => `${name}: ${WORDS[verdict(task, column, place)] ?? 'no verdict'}`);
    const node = make('div', { className: 'row', id: `row-${at}` },
      make('span', { className: 'verdicts', ariaHidden: 'true' }, ...signs),
      make('span', { className: 'where', textContent: `${shown(task.name)} ${idOf(task, place)}` }),
      make('span', { className: 'unseen', textContent: shown(said.join(', ')) }),
      make('span', { className: 'said', dir: 'auto' }));
    node.setAttribute('role', 'option');
    node.setAttribute('aria-posinset', String(at + 1));
    node.setAttribute('aria-setsize', String(found.length));
    node.setAttribute('aria-selected', String(global === current));
    node.style.top = `${at * ROW}px`;
    const say = () => {
      const doc = documentOf(task.block, place);
      const words = doc.question.trim() || (doc.choices[0] ?? '');
      node.querySelector('.said').textContent = shown(words.slice(0, 200).replace(/\s+/g, ' '));
    };
    if (task.block) say();
    else if (task.kept) block(taskOf[global]).then(() => { if (node.isConnected) say(); });
    node.addEventListener('click', () => choose(at, true));
    return node;
  };
  const draw = (anew) => {
    if (anew) {
      for (const node of rows.values()) node.remove();
      rows.clear();
      spacer.style.height = `${found.length * ROW}px`;
    }
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 8);
    const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 8);
    for (const [at, node] of rows) {
      if (at < first || at >= last) {
        node.remove();
        rows.delete(at);
      }
    }
    for (let at = first; at < last; at++) {
      if (rows.has(at)) continue;
      const node = row(at);
      rows.set(at, node);
      list.append(node);
    }
    const active = found.indexOf(current);
    if (rows.has(active)) list.setAttribute('aria-activedescendant', `row-${active}`);
    else list.removeAttribute('aria-activedescendant');
  };
  list.addEventListener('scroll', () => requestAnimationFrame(() => draw(false)), { passive: true });
  const scrollTo = (at) => {
    const [top, bottom] = [at * ROW, (at + 1) * ROW];
    if (top < list.scrollTop) list.scrollTop = top;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    draw(false);
  };
  const choose = (at, tell) => {
    if (at < 0 || at >= found.length) return;
    current = found[at];
    for (const [place, node] of rows) node.setAttribute('aria-selected', String(place === at));
    scrollTo(at);
    detail();
    if (tell) link();
  };
  list.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const now = found.indexOf(current);
    const to = {
      ArrowDown: now + 1, ArrowUp: now < 0 ? 0 : now - 1, j: now + 1, k: now - 1, PageDown: now + page, PageUp: now - page,
      Home: 0, End: found.length - 1,
    }[event.key];
    if (event.key === 'Enter') {
      event.preventDefault();
      $('detail').focus();
      return;
    }
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(Math.min(Math.max(to, 0), found.length - 1), true);
  });

  // ---- one document ------------------------------------------------------------------------------------------------
  const number = (value) => (value === null ? '–' : Number(value.toFixed(4)).toString());
  const cells = (name, values) => values.map((value) => {
    const node = make(name, typeof value === 'string' ? { textContent: value } : value);
    if (name === 'th') node.scope = 'col';
    return node;
  });
  const choices = (doc, all) => {
    // Who had other choices, or another order of them, has a table of its own.
    const answers = all.filter(([, own]) => own.order === null);
    if (answers.length === 0 && all.length > 0) return [];
    const kept = answers.map(([, own]) => own.logprobs);
    const n = Math.max(doc.choices.length, ...kept.map((own) => own.length));
    if (n === 0) return [];
    const best = kept.map((own) => own.indexOf(Math.max(...own)));
    const head = make('tr', {}, ...cells('th', ['choice', 'text', ...answers.map(([column]) => shown(columns[column]))]));
    const lines = Array.from({ length: n }, (_, at) => {
      const isGold = doc.gold.includes(at);
      const text = doc.prompts.length > 0 ? `${doc.prompts[at]}${doc.choices[at] ?? ''}` : doc.choices[at] ?? '';
      const words = make('td', { className: 'text' }, ...long(text, 'span'));
      const numbers = kept.map((own, of) => ({
        className: `number${best[of] === at && n > 1 ? ' chosen' : ''}`,
        textContent: (best[of] === at && n > 1 ? '▸ ' : '') + (own.length > at ? number(own[at]) : '–'),
      }));
      return make('tr', {}, ...cells('td', [{ className: isGold ? 'gold' : '', textContent: `${at}${isGold ? ' ✓ right' : ''}` }]), words, ...cells('td', numbers));
    });
    const words = n > 1 ? 'Log-probabilities (natural logarithm); ▸ is the most probable choice.' : 'Log-probability (natural logarithm).';
    return [
      make('h3', { textContent: 'Choices' }),
      make('div', { className: 'over', tabIndex: 0, role: 'region', ariaLabel: 'Choices' }, make('table', {}, make('thead', {}, head), make('tbody', {}, ...lines))),
      make('p', { className: 'soft', textContent: words }),
    ];
  };
  const verdicts = (task, place, doc, answers) => answers.flatMap(([column, own]) => {
    const code = verdict(task, column, place);
    const kind = code === RIGHT ? 'right' : code === WRONG || code === PART ? 'wrong' : 'soft';
    const facts = [];
    for (const [name, value] of Object.entries(own.metrics)) facts.push(`${name} ${number(value)}`);
    if (own.tokens !== null) facts.push(`${own.tokens.toLocaleString('en')} tokens of prompt`);
    if (own.cut) facts.push('prompt was cut to fit');
    const nodes = [
      make('h3', {}, make('span', { className: kind, textContent: `${SIGNS[code] ?? '·'} ${WORDS[code] ?? 'no verdict'}` }), ` ${shown(columns[column])}`),
      make('p', { className: 'soft', textContent: shown(facts.join(' · ')) }),
    ];
    for (const [at, text] of own.texts.entries()) {
      if (at > 0 && doc.turns.length >= at) nodes.push(make('p', { className: 'soft', textContent: 'then asked:' }), ...long(doc.turns[at - 1]));
      nodes.push(...long(text));
    }
    for (const [filter, text] of Object.entries(own.extracted)) {
      nodes.push(make('p', { className: 'soft', textContent: `extracted (${shown(filter)}):` }), ...long(text));
    }
    for (const [at, text] of own.programs.entries()) nodes.push(make('p', { textContent: shown(`program ${at + 1}: ${text}`) }));
    if (own.prompt !== null) {
      nodes.push(make('details', {}, make('summary', { textContent: 'its own prompt, which is another one' }), ...long(own.prompt)));
    }
    if (own.order !== null) nodes.push(...choices({ ...doc, ...own.order, prompts: [] }, [[column, { ...own, order: null }]]));
    if (own.ids.length > 0) {
      const lines = own.ids.map((ids, at) => `${at}: ${ids.join(' ')}`).join('\n');
      nodes.push(make('details', {}, make('summary', { textContent: 'scored tokens, by their ids' }), ...long(lines)));
    }
    return nodes;
  });
  const detail = async () => {
    const mine = current;
    const at = taskOf[mine];
    const task = tasks[at];
    const place = mine - task.first;
    const data = await block(at);
    if (mine !== current) return;
    const doc = documentOf(data, place);
    const answers = columns.map((_, column) => [column, answerOf(data, column, place)]).filter(([, own]) => own !== null);
    const turn = (by, text) => {
      const button = make('button', { type: 'button', textContent: text, disabled: found.indexOf(current) + by < 0 || found.indexOf(current) + by >= found.length });
      button.addEventListener('click', () => choose(found.indexOf(current) + by, true));
      return button;
    };
    const nodes = [
      make('div', { className: 'tools' }, turn(-1, '← previous'), turn(1, 'next →')),
      make('h3', { textContent: `${shown(task.name)}, document ${idOf(task, place)}` }),
    ];
    if (!task.kept) {
      nodes.push(make('p', { className: 'soft', textContent: `The texts of this document were not kept. Its prompt has the SHA-256 ${doc.sha256}.` }));
    } else {
      const before = doc.before === null ? '' : data.before[doc.before];
      if (before !== '') {
        nodes.push(make('details', {}, make('summary', { textContent: `before the question: ${before.length.toLocaleString('en')} characters of description and examples` }), ...long(before)));
      }
      if (doc.question !== '') nodes.push(...long(doc.question));
    }
    nodes.push(...choices(doc, answers));
    if (doc.target !== null) nodes.push(make('h3', { textContent: 'Right answer' }), ...long(doc.target));
    nodes.push(...verdicts(task, place, doc, answers));
    $('detail').replaceChildren(...nodes);
    $('detail').scrollTop = 0;
  };

  // ---- links: what is chosen stands in the address -----------------------------------------------------------------
  const fields = ['show', 'a', 'b', 'q'];
  const link = () => {
    const parts = new URLSearchParams();
    if ($('suite').value !== '') parts.set('suite', suites[Number($('suite').value)]);
    if (current >= 0) {
      const task = tasks[taskOf[current]];
      parts.set('task', task.name);
      parts.set('doc', String(idOf(task, current - task.first)));
      if ($('task').value === '') parts.set('all', '1');
    } else if ($('task').value !== '') parts.set('task', tasks[Number($('task').value)].name);
    for (const name of fields) {
      const input = name === 'q' ? $('search') : $(name);
      const value = ['a', 'b'].includes(name) && input.value !== '' ? columns[Number(input.value)] : input.value;
      if (value !== '' && value !== 'all' && !(name === 'a' && input.value === '0')) parts.set(name, value);
    }
    const hash = `#${parts}`;
    if (hash === location.hash) return;
    try { history.replaceState(null, '', hash); } catch { location.replace(hash); }
  };
  const follow = async () => {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (!['task', 'doc', 'show', 'suite', 'q', 'a', 'b'].some((name) => parts.has(name))) return false;
    const place = (all, name) => {
      const at = all.indexOf(name);
      return at < 0 ? '' : String(at);
    };
    const task = tasks.findIndex((task) => task.name === parts.get('task'));
    $('suite').value = place(suites, parts.get('suite'));
    taskOptions();
    $('task').value = task < 0 || parts.has('all') ? '' : String(task);
    $('show').value = [...$('show').options].some((option) => option.value === parts.get('show')) ? parts.get('show') : 'all';
    $('a').value = place(columns, parts.get('a')) || '0';
    $('b').value = place(columns, parts.get('b'));
    $('search').value = parts.get('q') ?? '';
    const doc = parts.get('doc');
    if (task >= 0 && doc !== null) {
      const own = tasks[task];
      const at = own.ids === null ? Number(doc) : own.ids.indexOf(Number(doc));
      current = Number.isInteger(at) && at >= 0 && at < own.length ? own.first + at : -1;
    } else current = -1;
    await filter();
    if (current >= 0) {
      if (found.indexOf(current) < 0) {
        // A link to a document leads there, whatever is filtered.
        $('show').value = 'all';
        $('search').value = '';
        await filter();
      }
      choose(found.indexOf(current), false);
    }
    $('samples').scrollIntoView();
    return true;
  };
  $('filters').addEventListener('submit', (event) => event.preventDefault());
  $('suite').addEventListener('change', taskOptions);
  for (const name of ['suite', 'task', 'show', 'a', 'b']) {
    $(name).addEventListener('change', () => {
      filter();
      link();
    });
  }
  let pause = 0;
  $('search').addEventListener('input', () => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      filter();
      link();
    }, 150);
  });
  addEventListener('hashchange', follow);
  follow().then((led) => { if (!led) filter(); });
  document.documentElement.dataset.ready = 'yes';
})();
