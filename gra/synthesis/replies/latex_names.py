r"""Lists the names of LaTeX commands that escapes.py needs.

SURE, BRACED and DOUBTFUL hold names that begin with b, f, n, r or t, because JSON reads \b, \f, \n, \r and \t as
escapes. SURE: without its first letter, such a name is not the beginning of any word. So a tab before "imes" shows that
the backslash of \times was lost. BRACED: names that are sure only if a brace follows. DOUBTFUL: without its first
letter, such a name can be a word or a variable ("\nu" may be a line end before a u). OTHERS holds names with other
first letters, which only show that a text contains LaTeX commands. Sources: the LaTeX2e and amsmath manuals,
unicode-math's symbol list.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


SURE = _names("""
    backepsilon backprime backsim backsimeq backslash barwedge because begin beta beth between bezier bfseries bibitem bigcap
    bigcirc bigcup bigg biggl biggr bigl bigm bigodot bigoplus bigotimes bigr bigskip bigsqcup bigstar bigtriangledown
    bigtriangleup biguplus bigvee bigwedge binom blacklozenge blacksquare blacktriangle bmod boldmath boldsymbol bot bottomrule
    bowtie boxdot boxed boxminus boxplus boxtimes breve bullet bumpeq fallingdotseq fancy fbox fboxrule fboxsep fcolorbox flat
    flushleft flushright footnote footnotesize forall frac frak frame framebox frown nabla natural ncong nearrow newblock
    newcommand newenvironment newline newpage newtheorem nicefrac nLeftarrow nleftarrow nLeftrightarrow nleftrightarrow noindent
    nolimits nonumber normalfont normalsize notag notin nRightarrow nrightarrow nsubseteq nsupseteq ntriangleleft ntriangleright
    nvDash nvdash nwarrow raggedright raisebox rangle rbrace rbrack rceil ref renewcommand restriction rfloor rgroup rhd rho right
    rightarrow rightarrowtail rightharpoondown rightharpoonup rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow
    rightthreetimes risingdotseq rlap rm rmfamily rmoustache root rotatebox row rowcolor rtimes rule rVert rvert tableofcontents
    tabularnewline tbinom textasciicircum textasciitilde textbackslash textbf textcolor textdegree textgreater textit textless
    textmd textnormal textquotedbl textrm textsc textsf textsl textstyle textsubscript textsuperscript texttt textup textwidth
    tfrac therefore theta thickapprox thicksim thinspace tikzpicture tikzset tilde times tiny today toprule triangle triangledown
    triangleleft trianglelefteq triangleq triangleright trianglerighteq ttfamily twoheadleftarrow twoheadrightarrow
""")
BRACED = _names("""
    bar bf Big big bmatrix box fontsize norm tag text thispagestyle tikz title
""")
DOUBTFUL = _names("""
    bar bf big box ne neg neq nexists ngeq ngtr ni nleq nless nmid norm not nparallel nprec nsim nsubset nsucc nu num tan tanh tau
    text th to top tt
""")
# names of DOUBTFUL that, without their first letter, are unlikely to be a word, but can be a variable
NO_WORDS = _names("neq ngeq ngtr nleq not nprec nsucc tanh tilde")
OTHERS = _names("""
    aleph aligned alpha angle approx arccos arcsin arctan arg ast cap caption cases cdot cdots ce centering cfrac chi circ cite
    cline color cong coprod cos cosh cot coth csc cup dagger dbinom ddot ddots deg degree Delta delta det dfrac dim displaystyle
    div documentclass dot dots downarrow ell emph emptyset end epsilon equiv eta exists exp Gamma gamma gcd ge geq gets gg hat
    hbar hbox hline hom hspace iff iiint iint Im implies in includegraphics inf infty int iota item kappa ker label Lambda lambda
    land langle lceil ldots le left Leftarrow leftarrow Leftrightarrow leftrightarrow leq lfloor lg lim liminf limits limsup ll ln
    lnot log longmapsto Longrightarrow longrightarrow lor lVert lvert mapsto mathbb mathbf mathcal mathfrak mathit mathrm mathsf
    mathtt max mbox measuredangle mid middle min mod mp mu odot oint Omega omega operatorname oplus otimes overbrace overline
    overset parallel partial perp phantom Phi phi Pi pi pm pmatrix pmod Pr prime prod propto Psi psi qquad qty quad Re Rightarrow
    sec section setminus SI Sigma sigma sim simeq sin sinh sqrt stackrel star subsection subset subseteq subsetneq substack sum
    sup supset supseteq Theta underbrace underline underset unit Uparrow uparrow updownarrow uplus Upsilon upsilon usepackage
    varepsilon varnothing varphi varpi varsigma vartheta vdots vec vee Vert vert vspace wedge widehat widetilde Xi xi xrightarrow
    zeta
""")
COMMANDS = SURE | BRACED | DOUBTFUL | OTHERS
