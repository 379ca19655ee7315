// What the theme leaves out for keyboards and screen readers.
const scrolling = ".md-typeset pre > code, .md-typeset__scrollwrap, .diagram"

function name(root) {
  for (const link of root.querySelectorAll(".md-annotation__index:not([aria-label])"))
    link.ariaLabel = `Note ${link.firstElementChild?.dataset.mdAnnotationId ?? ""}`
}

// Notes in code become links when their code is seen.
new MutationObserver(changes => {
  for (const { target } of changes) if (target.nodeType === Node.ELEMENT_NODE) name(target)
}).observe(document.body, { childList: true, subtree: true })

document$.subscribe(() => {
  name(document)
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search")
  for (const toggle of document.querySelectorAll(".md-toggle")) {
    // Worked by their labels, and never seen.
    toggle.tabIndex = -1
    toggle.ariaHidden = "true"
  }
  for (const region of document.querySelectorAll(scrolling)) {
    // What scrolls sideways can be scrolled with the keyboard, too.
    if (region.scrollWidth > region.clientWidth) region.tabIndex = 0
    else region.removeAttribute("tabindex")
  }
})
