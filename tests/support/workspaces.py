"""A small company with one source, for tests that run the pipeline."""

from __future__ import annotations

from pathlib import Path

from cohorte.workspace import Workspace, open_workspace

SETTINGS = """
company: La Petite Boutique
language: fr
currency: EUR
time_zone: Europe/Paris
country_code: FR
as_of: 2026-10-31
"""

SOURCE = """
source: shop
title: Tills
feeds:
  - feed: members
    files: members*.csv
    delimiter: ";"
    date_formats: ["%d/%m/%Y"]
    entities:
      contacts:
        columns:
          contact_id: Carte
          loyalty_number: Carte
          first_name: Prénom
          last_name: Nom
          email: E-mail
          phone: Téléphone
          postcode: Code postal
          city: Ville
          birth_date: Naissance
          country_code: {constant: FR}
      consents:
        where: {column: Accord, is_known: true}
        columns:
          contact_id: Carte
          channel: {constant: email}
          purpose: {constant: marketing}
          is_granted: {column: Accord, values: {oui: true, non: false}}
          recorded_at: {column: Accord le, formats: ["%d/%m/%Y"]}
  - feed: orders
    files: orders*.csv
    delimiter: ";"
    decimal: ","
    timestamp_formats: ["%d/%m/%Y %H:%M"]
    entities:
      orders:
        distinct: true
        columns:
          order_id: Ticket
          contact_id: Carte
          ordered_at: Date
          status: {constant: completed}
          channel: {constant: shop}
          currency_code: {constant: EUR}
      order_lines:
        columns:
          order_id: Ticket
          line_number: Ligne
          product_id: Article
          product_name: Libellé
          quantity: Quantité
          net_amount: Montant HT
"""

MEMBERS = """Carte;Prénom;Nom;E-mail;Téléphone;Code postal;Ville;Naissance;Accord;Accord le
M1;Anne;Martin;anne.martin@example.com;06 12 34 56 78;75011;Paris;03/05/1980;oui;01/02/2025
M2;Bruno;Petit;bruno@example.com;;69003;Lyon;;non;01/02/2025
M3;ANNE;MARTIN;Anne.Martin@Example.com ;;75011;PARIS;03/05/1980;;
M4;Zoé;Durand;;07 98 76 54 32;13001;Marseille;12/12/1999;oui;05/06/2026
"""

ORDERS = """Ticket;Carte;Date;Ligne;Article;Libellé;Quantité;Montant HT
T1;M1;05/01/2026 10:00;1;A;Thé;2;20,50
T1;M1;05/01/2026 10:00;2;B;Tasse;1;9,50
T2;M3;31/10/2026 23:30;1;A;Thé;1;10,25
T3;M2;15/06/2024 09:15;1;B;Tasse;4;38,00
T4;;20/10/2026 18:00;1;A;Thé;1;10,25
T5;M1;01/11/2026 00:30;1;A;Thé;100;1025,00
"""


def small_shop(root: Path, *, orders: str = ORDERS, members: str = MEMBERS) -> Workspace:
    """A workspace of four members, who are three people, and five tickets, the last one after
    the day looked from."""
    (root / "sources").mkdir(parents=True, exist_ok=True)
    (root / "inbox").mkdir(exist_ok=True)
    (root / "cohorte.yml").write_text(SETTINGS, encoding="utf-8")
    (root / "sources" / "shop.yml").write_text(SOURCE, encoding="utf-8")
    (root / "inbox" / "members.csv").write_text(members, encoding="utf-8")
    (root / "inbox" / "orders.csv").write_text(orders, encoding="cp1252")
    return open_workspace(root)
