// A browser's own model, as tests need one: the rules of the Prompt API, and answers from a script.
//
// LanguageModel.script(system, said, now, form) gives an answer, or throws what a browser would.
// `said` is what came before as [role, content]. Facts for tests: `alive` sessions, what was `asked`,
// and `state`, which is what availability() tells. One token is one word.
{
  const refused = (name, message, more = {}) => Object.assign(new DOMException(message, name), more);
  const words = (text) => text.split(/\s+/).filter(Boolean).length;
  const moment = () => new Promise((done) => setTimeout(done, 0));

  class LanguageModel {
    static state = "available";
    static quota = 4000;
    static alive = 0;
    static asked = [];
    static script = (system, said, now) => `You said: ${now}`;
    static hanging = false; // says the first word, and never another one
    static slow = null; // a promise that create() waits for

    static async availability(options = {}) {
      if (options.initialPrompts) throw new TypeError("initialPrompts is no core option");
      return LanguageModel.state;
    }

    static async create({ initialPrompts = [], monitor } = {}) {
      if (LanguageModel.state === "unavailable") throw refused("NotAllowedError", "no model here");
      if (LanguageModel.state === "downloadable") {
        if (!(self.navigator?.userActivation?.isActive ?? true)) throw refused("NotAllowedError", "a user gesture is required");
        const told = new EventTarget();
        monitor?.(told);
        for (const loaded of [0, 0.5, 1]) {
          await new Promise((done) => setTimeout(done, 30));
          told.dispatchEvent(Object.assign(new Event("downloadprogress"), { loaded, total: 1 }));
        }
        LanguageModel.state = "available";
      }
      initialPrompts.forEach(({ role, content }, place) => {
        if (!["system", "user", "assistant"].includes(role)) throw new TypeError(`no role ${role}`);
        if (role === "system" && place) throw new TypeError("a system prompt comes first");
        if (typeof content !== "string") throw new TypeError("content is text here");
      });
      const used = initialPrompts.reduce((sum, { content }) => sum + words(content), 0);
      if (used > LanguageModel.quota) {
        throw refused("QuotaExceededError", "too large", { requested: used, quota: LanguageModel.quota });
      }
      await LanguageModel.slow;
      LanguageModel.alive += 1;
      return new LanguageModel(initialPrompts, used);
    }

    #prompts;
    #destroyed = false;
    #stop = () => {};
    constructor(prompts, used) {
      this.#prompts = prompts;
      this.contextUsage = used;
      this.contextWindow = LanguageModel.quota;
    }

    async measureContextUsage(text) {
      return words(text);
    }

    promptStreaming(now, { responseConstraint = null } = {}) {
      if (this.#destroyed) throw refused("InvalidStateError", "the session is destroyed");
      const system = this.#prompts[0]?.role === "system" ? this.#prompts[0].content : "";
      const said = this.#prompts.filter(({ role }) => role !== "system").map(({ role, content }) => [role, content]);
      LanguageModel.asked.push({ system, said, now, isHeld: Boolean(responseConstraint) });
      return new ReadableStream({
        start: async (stream) => {
          this.#stop = () => stream.error(refused("AbortError", "the session was destroyed"));
          try {
            const answer = LanguageModel.script(system, said, now, responseConstraint);
            for (const piece of answer.match(/\S+\s*|\s+/g) ?? []) {
              await moment();
              if (this.#destroyed) return;
              stream.enqueue(piece);
              if (LanguageModel.hanging) return;
            }
            this.contextUsage += words(now) + words(answer);
            stream.close();
          } catch (error) {
            if (!this.#destroyed) stream.error(error);
          }
        },
      });
    }

    destroy() {
      if (this.#destroyed) return;
      this.#destroyed = true;
      LanguageModel.alive -= 1;
      this.#stop();
    }
  }

  self.LanguageModel = LanguageModel;
}
